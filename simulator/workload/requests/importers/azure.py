"""Azure LLM inference traces of 2023 (Patel et al., ISCA 2024) and of 2024 (Stojkovic et al., HPCA 2025).

Both have one header. Times of 2023 are of a clock on the wall without a zone, in steps of 100 ns; those of 2024 have an
offset, and a fraction of a second only where it is not 0.
"""

from __future__ import annotations

from simulator.registry import register
from simulator.workload.requests.importers import Importer
from simulator.workload.requests.recorded.cells import Cells

register("requests", "azure")(
    Importer(
        {"arrival_s": "TIMESTAMP", "input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"},
        clock=Cells.timestamps,
    )
)
