from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.workload.requests.request import Request, Stream
from simulator.workload.requests.trace import open_trace

Read = Callable[..., list[Request]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes a file of requests and reads it again."""

    def read(text: str | bytes, name: str = "trace.csv", skip_bad: bool = False) -> list[Request]:
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        trace = open_trace(file, skip_bad)
        return list(Stream(trace.batches))

    return read
