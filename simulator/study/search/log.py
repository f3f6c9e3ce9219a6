"""A file of what a search has evaluated: killed at any moment, it goes on where it was.

A line has a checksum (CRC-32) of its point and metrics; a point whose line is damaged is evaluated again.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ConfigError, described
from simulator.files import reason
from simulator.study.search.seen import Indices, Space
from simulator.study.space.columns import Columns, Evaluate

SCHEMA = 2


class Log:
    """Metrics by point, a line of JSON each, written once a batch is evaluated.

    A search is a function of its arguments and of the metrics, so that run again with its log it asks for the same
    points, has their metrics from there and ends as if it had never stopped. `identity` says what the points are
    of (a hash of all that `evaluate` depends on).

    Raises:
        ConfigError: the file is no such log, or is of another space; it cannot be written.
    """

    def __init__(self, path: Path, sizes: tuple[int, ...], identity: str) -> None:
        self.path = path
        self.rows: dict[tuple[int, ...], dict[str, Any]] = {}
        head = {"search": SCHEMA, "sizes": " x ".join(map(str, sizes)), "identity": identity}
        data = path.read_bytes() if path.exists() else b""
        if _line(head).encode().startswith(data):  # new, or cut off in the first line
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_line(head), encoding="utf-8")
            return
        first, *lines = data.split(b"\n")
        _check(path, first, head)
        self.rows = {tuple(point): metrics for point, metrics in filter(None, map(_row, lines))}
        if lines and lines[-1]:  # cut off
            os.truncate(path, len(data) - len(lines[-1]))

    def evaluated(self, space: Space, evaluate: Evaluate, indices: Indices) -> Columns:
        """The metrics of points: from the file where they are in it, else evaluated and written there."""
        points = [tuple(point) for point in indices.tolist()]
        new = [point for point in points if point not in self.rows]
        if new:
            metrics = evaluate(space.at(np.array(new, dtype=np.int64)))
            columns = {name: np.asarray(column).tolist() for name, column in metrics.items()}
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            self._append("".join(_line([list(p), row, _sum(p, row)]) for p, row in zip(new, rows, strict=True)))
            self.rows.update(zip(new, rows, strict=True))
        together = [self.rows[point] for point in points]
        return {name: _column([row[name] for row in together]) for name in together[0]}

    def _append(self, text: str) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ConfigError(f"cannot write it: {reason(error)}", file=self.path) from None


def _check(path: Path, first: bytes, head: dict[str, Any]) -> None:
    try:
        logged = json.loads(first)
    except ValueError:
        raise ConfigError("no log of a search", file=path, line=1, expected="a line of JSON") from None
    for key, expected in head.items():
        if not isinstance(logged, dict) or logged.get(key) != expected:
            found = described(logged.get(key) if isinstance(logged, dict) else logged)
            expected = f"{described(expected)}, or a new file"
            raise ConfigError("not of this search", file=path, line=1, path=key, found=found, expected=expected)


def _row(line: bytes) -> tuple[list[int], dict[str, Any]] | None:
    """The point of a line and its metrics; None where it is damaged."""
    try:
        point, metrics, crc = json.loads(line)
        intact = crc == _sum(point, metrics)
    except (ValueError, TypeError, RecursionError):
        return None
    return (point, metrics) if intact else None


def _sum(point: Sequence[int], metrics: dict[str, Any]) -> int:
    return zlib.crc32(_line([list(point), metrics]).encode())


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _column(values: list[Any]) -> Any:
    return np.array(values, dtype=object if isinstance(values[0], str) else None)
