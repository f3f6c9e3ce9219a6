"""The files that recorded routing comes in; each becomes the tokens and the passes of each of its layers.

JSONL, as loggers in a serving engine write it: a line `{"type": "meta", ...}` with `top_k` and perhaps `num_experts`,
then a line a token and layer, `{"type": "route", "token_idx": 0, "layer": 0, "topk_ids": [33, 16, 24, 27], ...}`. A new
forward pass begins where `token_idx` does not rise; where it runs on through the file, all is one pass. `req_id` does
not tell requests apart and `topk_weights` do not add up to 1: neither is read.

CSV with the header `step,token,layer,expert_0,expert_1,...`: a row a token and layer; a new pass begins where `step`
changes, and `token` rises within a step. Parquet has the same columns.

NPZ: `choices` of shape (layers, tokens, top_k), and if known `passes` (the first token of each pass), `layers` (their
numbers) and `experts` (how many).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError, described, one_of, unknown
from simulator.files import UNREADABLE, read_arrays, read_lines, read_rows, reason

Ints = NDArray[np.int64]
COLUMNS = ("step", "token", "layer")
MOST = 10**9  # no index is as large


@dataclass(frozen=True, eq=False)
class LayerRows:
    """One layer of one file: `choices` (tokens, top_k), the first token of each pass, and the experts there are."""

    file: Path
    number: int
    choices: Ints
    passes: Ints
    experts: int


@dataclass(frozen=True, eq=False)
class _Rows:
    """What a file says, a row a token and layer, in its order; `places[i]` is the line, or the row, of row i.

    `step` is None where a pass shows by `token` alone.
    """

    file: Path
    lines: bool
    places: Ints
    step: Ints | None
    token: Ints
    layer: Ints
    choices: Ints
    experts: int | None = None

    def wrong(self, row: int, **details: Any) -> ConfigError:
        """An error at a row."""
        place = int(self.places[row])
        return ConfigError(
            file=self.file, line=place if self.lines else None, path="" if self.lines else f"row {place}", **details
        )


def read_layers(file: Path, experts: int | None, top_k: int | None) -> list[LayerRows]:
    """The layers of a file, in its form, which the end of its name tells; their experts are in range and different.

    Raises:
        ConfigError: with the file, and the line or row.
    """
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise unknown(file.suffix, _READERS, "name", file=file)
    rows = reader(file, top_k)
    if not len(rows.choices):
        raise ConfigError("the recording is empty", file=file, expected="a row for each token and layer")
    _check(rows, experts, top_k)
    total = experts or rows.experts or int(rows.choices.max()) + 1
    layers = []
    for number in np.unique(rows.layer).tolist():
        here = np.flatnonzero(rows.layer == number)
        layers.append(LayerRows(file, number, rows.choices[here], _passes(rows, here), total))
    return layers


def _check(rows: _Rows, experts: int | None, top_k: int | None) -> None:
    """Raises `ConfigError` at the first row with too many experts, one out of range, or one twice."""
    picks = rows.choices.shape[1]
    if top_k is not None and picks != top_k:
        raise rows.wrong(0, message="experts of a token", found=picks, expected=f"{top_k}")
    limit = experts or rows.experts
    outside = (rows.choices < 0) | (rows.choices >= (limit or MOST))
    if outside.any():
        row, place = (int(index) for index in np.argwhere(outside)[0])
        expected = f"0 to {limit - 1}" if limit else "0 or more"
        raise rows.wrong(row, message="expert", found=int(rows.choices[row, place]), expected=expected)
    ordered = np.sort(rows.choices, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if twice.any():
        row = int(np.argmax(twice))
        raise rows.wrong(row, message="experts of a token", found=rows.choices[row].tolist(), expected="different ones")


def _passes(rows: _Rows, here: Ints) -> Ints:
    """Where a new pass begins among the rows `here` of one layer."""
    falls = np.diff(rows.token[here]) <= 0
    if rows.step is None:
        begins = falls
    else:
        begins = np.diff(rows.step[here]) != 0
        if (falls & ~begins).any():
            row = int(here[1 + np.argmax(falls & ~begins)])
            expected = f"more than in the row before, in step {rows.step[row]} of layer {rows.layer[row]}"
            raise rows.wrong(row, message="token", found=int(rows.token[row]), expected=expected)
    return np.concatenate([[0], 1 + np.flatnonzero(begins)])


# --- JSONL


def _jsonl(file: Path, top_k: int | None) -> _Rows:
    experts: int | None = None
    places: list[int] = []
    token: list[int] = []
    layer: list[int] = []
    choices: list[list[int]] = []
    for line, text in read_lines(file):
        if not text.strip():
            continue
        data = _object(text, file, line)
        kind = data.get("type")
        if kind == "meta":
            top_k = _integer(data, "top_k", file, line) if "top_k" in data else top_k
            experts = _integer(data, "num_experts", file, line) if "num_experts" in data else experts
        elif kind == "route":
            places.append(line)
            token.append(_integer(data, "token_idx", file, line))
            layer.append(_integer(data, "layer", file, line))
            choices.append(_picks(data, file, line, top_k or (len(choices[0]) if choices else None)))
        else:
            where: dict[str, Any] = {"file": file, "line": line, "found": described(kind), "expected": "meta or route"}
            raise unknown(str(kind), ("meta", "route"), "type", **where)
    return _rows(file, places, None, token, layer, choices, experts)


def _object(text: str, file: Path, line: int) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not JSON: {error}", file=file, line=line) from None
    if not isinstance(data, dict):
        raise ConfigError(file=file, line=line, found=described(data), expected="an object")
    return data


def _integer(data: dict[str, Any], key: str, file: Path, line: int) -> int:
    value = data.get(key)
    if not (isinstance(value, int) and _is_index(value)):
        raise ConfigError(path=key, file=file, line=line, found=described(value), expected="an integer, 0 or more")
    return value


def _picks(data: dict[str, Any], file: Path, line: int, top_k: int | None) -> list[int]:
    value = data.get("topk_ids")
    if not (isinstance(value, list) and value and all(map(_is_index, value))):
        found = described(value) if not isinstance(value, list) else described(str(value))
        raise ConfigError(path="topk_ids", file=file, line=line, found=found, expected="a list of expert numbers")
    if top_k is not None and len(value) != top_k:
        raise ConfigError("experts of a token", file=file, line=line, found=len(value), expected=str(top_k))
    return value


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST


# --- CSV and Parquet


def _csv(file: Path, top_k: int | None) -> _Rows:
    rows = read_rows(file)
    header = [cell.strip() for cell in next(rows, (1, []))[1]]
    picks = _columns(header, file, 1)
    places, numbers = [], []
    for line, row in rows:
        places.append(line)
        numbers.append([_cell(*cell, file, line) for cell in zip(header, row, strict=True)])
    table = np.array(numbers, dtype=np.int64).reshape(-1, len(header))
    step, token, layer = (table[:, header.index(name)] for name in COLUMNS)
    return _rows(file, places, step, token, layer, table[:, [header.index(name) for name in picks]])


def _cell(column: str, text: str, file: Path, line: int) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ConfigError(column, file=file, line=line, found=described(text), expected="an integer, 0 or more")
    return int(text)


def _columns(header: Sequence[str], file: Path, line: int | None) -> list[str]:
    """The columns of the experts; ConfigError if they are not 0, 1, ... or another column lacks, or is strange."""
    picks = [f"expert_{k}" for k in range(len(header) - len(COLUMNS))]
    if not picks or sorted(header) != sorted([*COLUMNS, *picks]):
        expected = "step,token,layer,expert_0,expert_1,..."
        raise ConfigError("columns", file=file, line=line, found=described(",".join(header)), expected=expected)
    return picks


def _parquet(file: Path, top_k: int | None) -> _Rows:
    import pandas as pd

    _exists(file)
    try:
        frame = pd.read_parquet(file)
    except UNREADABLE as error:
        raise ConfigError(f"cannot be read: {reason(error)}", file=file) from None
    picks = _columns([str(name) for name in frame.columns], file, None)
    for name in (*COLUMNS, *picks):
        if not pd.api.types.is_integer_dtype(frame[name]) or frame[name].isna().any():
            raise ConfigError(name, file=file, found=f"{frame[name].dtype} values", expected="integers, none missing")
        outside = np.flatnonzero((frame[name] < 0) | (frame[name] >= MOST))
        if outside.size:
            found = int(frame[name].iloc[outside[0]])
            where = f"row {outside[0]}"
            raise ConfigError(name, file=file, path=where, found=found, expected="an integer, 0 or more")
    step, token, layer = (frame[name].to_numpy(np.int64) for name in COLUMNS)
    places = np.arange(len(frame))
    return _rows(file, places, step, token, layer, frame[picks].to_numpy(np.int64), lines=False)


# --- NPZ


def _npz(file: Path, top_k: int | None) -> _Rows:
    arrays = read_arrays(file)
    choices = _array(arrays, "choices", file, 3, "integers of shape layers x tokens x top_k")
    layers, tokens, picks = choices.shape
    if not choices.size:
        raise ConfigError("the recording is empty", file=file, path="choices", found=f"shape {choices.shape}")
    passes = _array(arrays, "passes", file, 1, "integers") if "passes" in arrays else np.zeros(1, dtype=np.int64)
    if not (passes.size and passes[0] == 0 and passes[-1] < tokens and np.all(np.diff(passes) > 0)):
        expected = f"rising from 0 to less than {tokens}"
        raise ConfigError(path="passes", file=file, found=described(str(passes)), expected=expected)
    numbers = _array(arrays, "layers", file, 1, "integers") if "layers" in arrays else np.arange(layers)
    if not (len(set(numbers.tolist())) == numbers.size == layers and numbers.min() >= 0):
        expected = f"{layers} different numbers, 0 or more"
        raise ConfigError(path="layers", file=file, found=described(str(numbers)), expected=expected)
    experts = int(_array(arrays, "experts", file, 0, "an integer")) if "experts" in arrays else None
    if experts is not None and experts < 1:
        raise ConfigError(path="experts", file=file, found=experts, expected="1 or more")
    step = np.searchsorted(passes, np.arange(tokens), side="right")
    return _rows(
        file, np.tile(np.arange(tokens), layers), np.tile(step, layers), np.tile(np.arange(tokens), layers),
        np.repeat(numbers, tokens), choices.reshape(-1, picks), experts, lines=False,
    )  # fmt: skip


def _array(arrays: dict[str, NDArray[Any]], name: str, file: Path, dimensions: int, expected: str) -> Ints:
    array = arrays.get(name)
    if array is None:
        raise unknown(name, arrays, "array", file=file, found=one_of(arrays), expected=f"'{name}'")
    if array.ndim != dimensions or not np.issubdtype(array.dtype, np.integer):
        found = f"{array.dtype} of shape {array.shape}"
        raise ConfigError(path=name, file=file, found=found, expected=expected)
    return array.astype(np.int64)


# --- all forms


def _rows(
    file: Path, places: ArrayLike, step: ArrayLike | None, token: ArrayLike, layer: ArrayLike, choices: ArrayLike,
    experts: int | None = None, lines: bool = True,
) -> _Rows:  # fmt: skip
    """The columns as arrays."""

    def integers(values: ArrayLike) -> Ints:
        return np.asarray(values, dtype=np.int64)

    steps = None if step is None else integers(step)
    return _Rows(file, lines, integers(places), steps, integers(token), integers(layer), integers(choices), experts)


def _exists(file: Path) -> None:
    if not file.is_file():
        raise ConfigError("cannot be read: there is no such file", file=file)


_READERS: dict[str, Callable[[Path, int | None], _Rows]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
    ".npz": _npz,
}
