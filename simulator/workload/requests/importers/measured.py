"""Our form of a measured run of a server (`docs/compare.md`): the requests of it, without what became of them."""

from __future__ import annotations

import numpy as np

from simulator.registry import register
from simulator.workload.requests.importers import Columns, Importer
from simulator.workload.requests.recorded.cells import Cells

RUN = ("source", "device", "model")


def one_run(cells: Cells, columns: Columns) -> None:
    """All rows are of the first one's run."""
    for name in RUN:
        texts = np.array(cells.texts(name).to_pylist(), dtype=object)
        if len(texts):
            first = cells.origin.setdefault(name, texts[0])
            cells.refuse(texts != first, name, cells.texts(name), f"'{first}' as above: a file for each run")


register("requests", "measured")(
    Importer(
        {
            "request_id": "request",
            "arrival_s": "arrival_s",
            "input_tokens": "input_len",
            "output_tokens": "output_len",
            "model": "model",
        },
        known_by=["request", "arrival_s", "input_len", "output_len", *RUN],
        tidy=one_run,
    )
)
