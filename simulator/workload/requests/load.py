"""Finds requests: a file of recorded ones, or a YAML of those that are to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.config import load, validate
from simulator.config.resolve import Override
from simulator.workload.requests.draw import stream_of
from simulator.workload.requests.form import RequestsForm
from simulator.workload.requests.request import Stream

FOLDER = "workloads/requests"
YAML = {".yaml", ".yml"}


def load_requests(source: str | Path | Mapping[str, Any] = "", overrides: Sequence[Override] = ()) -> Stream:
    """The requests of a trace (CSV, Parquet or JSON, in our form or a public one) or of a YAML, as a stream.

    A mapping, or nothing but `overrides` (``path.to.key=value``), is an inline YAML: ``requests=1000``,
    ``arrivals={kind: poisson, rate: 2}``, ``lengths={kind: fixed, input: 1000, output: 250}``. Of a trace, overrides
    say what is made of it: ``arrivals={kind: recorded, speed: 2}``, ``requests=100``, ``skip_bad=true``.

    Raises:
        ConfigError: what is wrong in the YAML, by its key; no such file, or a form of requests that is not known. A row
            that is wrong is told when the stream comes to it.
    """
    if not isinstance(source, Mapping) and source and Path(source).suffix.lower() not in YAML:
        source = {"trace": str(source)}
    return stream_of(validate(load(source or {}, FOLDER, overrides), RequestsForm))
