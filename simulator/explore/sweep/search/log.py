"""A file of what a search has evaluated: killed at any moment, it goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ConfigError, described
from simulator.explore.sweep.columns import Columns, Evaluate
from simulator.explore.sweep.search.seen import Indices, Space

SCHEMA = 1


class Log:
    """Metrics by point, a line of JSON each, written once a batch is evaluated.

    A search is a function of its arguments and of the metrics, so that run again with its log it asks for the same
    points, has their metrics from there and ends as if it had never stopped. `identity` says what the points are
    of (a hash of all that `evaluate` depends on).

    Raises:
        ConfigError: the file is no such log, or is of another space.
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
        first, *rest = data.decode(errors="replace").splitlines(keepends=True)
        _check(path, first, head)
        cut_off = b"" if data.endswith(b"\n") else data[data.rindex(b"\n") + 1 :]
        for number, line in enumerate(rest[: len(rest) - bool(cut_off)], 2):
            match _read(path, number, line):
                case [[*point], dict(metrics)]:
                    self.rows[tuple(point)] = metrics
                case _:
                    raise ConfigError("no log of a search", file=path, line=number, expected="a point and its metrics")
        if cut_off:
            os.truncate(path, len(data) - len(cut_off))

    def evaluated(self, space: Space, evaluate: Evaluate, indices: Indices) -> Columns:
        """The metrics of points: from the file where they are in it, else evaluated and written there."""
        points = [tuple(point) for point in indices.tolist()]
        new = [point for point in points if point not in self.rows]
        if new:
            metrics = evaluate(space.at(np.array(new, dtype=np.int64)))
            columns = {name: np.asarray(column).tolist() for name, column in metrics.items()}
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(_line([list(point), row]) for point, row in zip(new, rows, strict=True))
                file.flush()
                os.fsync(file.fileno())
            self.rows.update(zip(new, rows, strict=True))
        together = [self.rows[point] for point in points]
        return {name: _column([row[name] for row in together]) for name in together[0]}


def _check(path: Path, first: str, head: dict[str, Any]) -> None:
    there = _read(path, 1, first)
    for key, expected in head.items():
        if not isinstance(there, dict) or there.get(key) != expected:
            found = described(there.get(key) if isinstance(there, dict) else there)
            expected = f"{described(expected)}, or a new file"
            raise ConfigError("not of this search", file=path, line=1, path=key, found=found, expected=expected)


def _read(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        raise ConfigError("no log of a search", file=path, line=number, expected="a line of JSON") from None


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _column(values: list[Any]) -> Any:
    return np.array(values, dtype=object if isinstance(values[0], str) else None)
