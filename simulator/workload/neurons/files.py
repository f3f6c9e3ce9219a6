"""The files that recorded activations of neurons come in.

CSV with the header `token,layer,neurons`: one row a token and layer, `neurons` the numbers of those that are active,
with spaces between them, in any order, or empty. Layers and the tokens of each layer are numbered from 0; the tokens of
a layer follow each other, and rows of different layers may come in any order.

NPZ, in one of three forms:

- `active`: booleans of shape (layers, tokens, neurons).
- `packed`: the same by `np.packbits(active, axis=-1)`, bytes of shape (layers, tokens, ceil(neurons / 8)), and
  `neurons`, an integer.
- `indices`, integers of shape (activations,), `offsets`, integers of shape (layers, tokens + 1), and `neurons`, an
  integer: at token t of layer l, `indices[offsets[l, t] : offsets[l, t + 1]]` are active, rising. Layer follows layer:
  `offsets` begin with 0, each row begins where the one before it ends, and the last ends with the activations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, described, nearest, one_of, unknown
from simulator.files import read_arrays, read_lines, replacement
from simulator.workload.neurons.trace import Ints, NeuronTrace, at_least, offsets, smallest, stored

HEADER = "token,layer,neurons"
FORMS = ("active", "packed", "indices")
DIGITS = 9  # no number has more

Arrays = dict[str, NDArray[Any]]


def load_neurons(path: str | Path, neurons: int | None = None, layers: int | None = None) -> NeuronTrace:
    """Reads recorded activations, in the form that the end of the name tells.

    `neurons` and `layers` say how many there must be. An NPZ states its neurons; without `neurons`, a CSV has as many
    as the largest number in it says.

    Raises:
        ConfigError: with the file, and the line or array: what cannot be read, an empty recording, a neuron that is no
            integer, out of range or twice at a token, layers or tokens that are missing or out of order, arrays of
            other shapes or types, or numbers other than asked for.
    """
    file = Path(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise unknown(file.suffix, _READERS, "name", file=file)
    if neurons is not None:
        at_least(neurons=(neurons, 1))
    trace = reader(file, neurons)
    if layers is not None and trace.layers != layers:
        raise ConfigError("layers", file=file, found=trace.layers, expected=f"{layers}")
    return trace


def save_neurons(trace: NeuronTrace, path: str | Path) -> None:
    """Writes a trace as NPZ, in the form of lists and the smallest integers; equal traces give equal bytes.

    Raises:
        ConfigError: a name that does not end with `.npz`, or a file that cannot be written.
    """
    file = Path(path)
    if file.suffix.lower() != ".npz":
        raise ConfigError("name", file=file, found=f"'{file.suffix}'", expected="'.npz'")
    counts = np.zeros((trace.layers, trace.tokens), dtype=np.int64)
    parts: list[NDArray[np.unsignedinteger]] = []
    for layer in range(trace.layers):
        for token, active in enumerate(trace.layer(layer)):
            counts[layer, token] = active.size
            parts.append(active.astype(smallest(trace.neurons).newbyteorder("<")))
    begins = offsets(counts)
    begins_as = np.min_scalar_type(int(begins[-1, -1])).newbyteorder("<")
    arrays = {"indices": np.concatenate(parts), "offsets": begins.astype(begins_as), "neurons": np.int64(trace.neurons)}
    with replacement(file) as unfinished, unfinished.open("wb") as out:
        np.savez(out, **arrays)  # type: ignore[arg-type, unused-ignore]


# --- CSV


def _csv(file: Path, neurons: int | None) -> NeuronTrace:
    rows: dict[int, list[NDArray[np.int32]]] = {}
    for line, raw in read_lines(file):
        text = raw.rstrip("\r\n")
        if line > 1 and not text.strip():
            continue
        cells = text.split(",")
        if line == 1:
            if [cell.strip() for cell in cells] != HEADER.split(","):
                raise ConfigError("header", file=file, line=1, found=described(text), expected=f"'{HEADER}'")
            continue
        if len(cells) != 3:
            expected = f"3, {HEADER.replace(',', ', ')}"
            raise ConfigError(file=file, line=line, found=f"{len(cells)} columns", expected=expected)
        token, layer = (_integer(name, cell, file, line) for name, cell in zip(("token", "layer"), cells, strict=False))
        of_layer = rows.setdefault(layer, [])
        if token != len(of_layer):
            raise ConfigError(
                "token", file=file, line=line, found=token, expected=f"{len(of_layer)}, the next of layer {layer}"
            )
        of_layer.append(_row(cells[2], neurons, file, line))
    if not rows:
        raise ConfigError("the recording is empty", file=file, line=1, expected="a row for each token and layer")
    of_layers = _complete(rows, file)
    indices = np.concatenate([row for of_layer in of_layers for row in of_layer])
    if neurons is None and not indices.size:
        raise ConfigError("neurons", file=file, found="none active", expected="how many there are, said by the caller")
    count = neurons or int(indices.max()) + 1
    counts = np.array([[row.size for row in of_layer] for of_layer in of_layers], dtype=np.int64)
    return stored(indices.astype(smallest(count)), offsets(counts), count)


def _integer(column: str, text: str, file: Path, line: int) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        raise ConfigError(column, file=file, line=line, found=described(text), expected="an integer, 0 or more")
    return int(text)


def _row(text: str, neurons: int | None, file: Path, line: int) -> NDArray[np.int32]:
    """The active neurons of one row, rising."""
    parts = text.split()
    if re.fullmatch(r"[0-9\s]*", text, re.ASCII) is None or len(max(parts, key=len, default="")) > DIGITS:
        for part in parts:
            _integer("neurons", part, file, line)
    active = np.sort(np.array(list(map(int, parts)), dtype=np.int32))
    if neurons is not None and active.size and active[-1] >= neurons:
        raise ConfigError("neurons", file=file, line=line, found=int(active[-1]), expected=f"0 to {neurons - 1}")
    twice = active[1:][active[1:] == active[:-1]]
    if twice.size:
        raise ConfigError("neurons", file=file, line=line, found=f"{twice[0]} twice", expected="different ones")
    return active


def _complete(rows: dict[int, list[NDArray[np.int32]]], file: Path) -> list[list[NDArray[np.int32]]]:
    """The layers in order; ConfigError if one is missing, or has other tokens than the first."""
    for number, layer in enumerate(sorted(rows)):
        if layer != number:
            raise ConfigError("layer", file=file, found=f"{layer} but not {number}", expected=f"0 to {max(rows)}")
        if len(rows[layer]) != len(rows[0]):
            found, expected = f"{len(rows[layer])} tokens", f"{len(rows[0])}, as in layer 0"
            raise ConfigError(f"layer {layer}", file=file, found=found, expected=expected)
    return [rows[layer] for layer in sorted(rows)]


# --- NPZ


def _npz(file: Path, neurons: int | None) -> NeuronTrace:
    arrays = read_arrays(file)
    forms = [name for name in FORMS if name in arrays]
    if len(forms) != 1:
        found = " and ".join(forms) or one_of(arrays)
        close = None if forms else next(filter(None, (nearest(name, FORMS) for name in arrays)), None)
        raise ConfigError("arrays", file=file, found=found, expected=f"one of {', '.join(FORMS)}", nearest=close)
    indices, begins, stated = {"active": _active, "packed": _packed, "indices": _lists}[forms[0]](arrays, file)
    if neurons is not None and stated != neurons:
        raise ConfigError("neurons", file=file, found=stated, expected=f"{neurons}")
    return stored(indices, begins, stated)


def _active(arrays: Arrays, file: Path) -> tuple[NDArray[np.unsignedinteger], Ints, int]:
    matrix = _array(arrays, "active", file, 3, np.bool_, "booleans of shape layers x tokens x neurons")
    return _of_matrix(iter(matrix), matrix.shape[:2], matrix.shape[2])


def _packed(arrays: Arrays, file: Path) -> tuple[NDArray[np.unsignedinteger], Ints, int]:
    packed = _array(arrays, "packed", file, 3, np.uint8, "bytes of shape layers x tokens x ceil(neurons / 8)")
    neurons = _neurons(arrays, file)
    if packed.shape[2] != -(-neurons // 8):
        found, expected = f"{packed.shape[2]} bytes a token", f"{-(-neurons // 8)} of {neurons} neurons"
        raise ConfigError(path="packed", file=file, found=found, expected=expected)
    if neurons % 8 and (packed[..., -1] & (0xFF >> neurons % 8)).any():
        raise ConfigError(path="packed", file=file, found="bits after the last neuron", expected=f"{neurons} neurons")
    matrices = (np.unpackbits(layer, axis=-1, count=neurons).view(np.bool_) for layer in packed)
    return _of_matrix(matrices, packed.shape[:2], neurons)


def _of_matrix(
    matrices: Iterator[NDArray[np.bool_]], shape: tuple[int, ...], neurons: int
) -> tuple[NDArray[np.unsignedinteger], Ints, int]:
    """The lists of one matrix (tokens, neurons) a layer."""
    counts = np.zeros(shape, dtype=np.int64)
    parts = []
    for layer, matrix in enumerate(matrices):
        counts[layer] = matrix.sum(axis=1)
        parts.append(matrix.nonzero()[1].astype(smallest(neurons)))
    return np.concatenate(parts), offsets(counts), neurons


def _lists(arrays: Arrays, file: Path) -> tuple[NDArray[np.unsignedinteger], Ints, int]:
    neurons = _neurons(arrays, file)
    indices = _array(arrays, "indices", file, 1, np.integer, "integers of shape (activations,)", empty=True)
    begins = _array(arrays, "offsets", file, 2, np.integer, "integers of shape layers x (tokens + 1)")
    if begins.shape[1] < 2:
        raise ConfigError("the recording is empty", file=file, path="offsets", found=f"shape {begins.shape}")
    ends = np.array([0, *begins[:, -1].tolist()])
    if not (
        np.array_equal(begins[:, 0], ends[:-1]) and ends[-1] == indices.size and np.all(begins[:, 1:] >= begins[:, :-1])
    ):
        expected = f"rising from 0 to {indices.size}, the activations, each row from the end of the one before"
        raise ConfigError(path="offsets", file=file, found=described(str(begins)), expected=expected)
    begins = begins.astype(np.int64)

    def wrong(place: int, expected: str) -> NoReturn:
        row = int(np.searchsorted(begins[:, :-1].ravel(), place, side="right")) - 1
        path = f"indices, layer {row // (begins.shape[1] - 1)}, token {row % (begins.shape[1] - 1)}"
        raise ConfigError(path=path, file=file, found=int(indices[place]), expected=expected)

    outside = (indices < 0) | (indices >= neurons)
    if outside.any():
        wrong(int(outside.argmax()), f"0 to {neurons - 1}")
    falls = 1 + np.flatnonzero(indices[1:] <= indices[:-1])
    inside = falls[~np.isin(falls, begins)]
    if inside.size:
        wrong(int(inside[0]), f"more than {indices[inside[0] - 1]}, the one before")
    return indices.astype(smallest(neurons)), begins, neurons


def _neurons(arrays: Arrays, file: Path) -> int:
    """How many neurons a layer has, as the file states."""
    neurons = int(_array(arrays, "neurons", file, 0, np.integer, "an integer"))
    if not 0 < neurons < 10**DIGITS:
        raise ConfigError(path="neurons", file=file, found=neurons, expected=f"1 to {10**DIGITS - 1}")
    return neurons


def _array(
    arrays: Arrays, name: str, file: Path, dimensions: int, kind: Any, expected: str, empty: bool = False
) -> NDArray[Any]:
    array = arrays.get(name)
    if array is None:
        raise unknown(name, arrays, "array", file=file, found=one_of(arrays), expected=f"'{name}'")
    if array.ndim != dimensions or not np.issubdtype(array.dtype, kind):
        found = f"{array.dtype} of shape {array.shape}"
        raise ConfigError(path=name, file=file, found=found, expected=expected)
    if not (array.size or empty):
        raise ConfigError("the recording is empty", file=file, path=name, found=f"shape {array.shape}")
    return array


_READERS: dict[str, Callable[[Path, int | None], NeuronTrace]] = {".csv": _csv, ".npz": _npz}
