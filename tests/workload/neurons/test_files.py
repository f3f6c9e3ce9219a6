"""Recorded activations: every form gives back what was written, and mistakes are named by file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload.neurons.files import load_neurons, save_neurons
from simulator.workload.neurons.trace import NeuronTrace, recorded, share
from simulator.workload.neurons.window_law import WindowLaw, renewal

Matrix = NDArray[np.bool_]
"""Which neurons are active, shape (layers, tokens, neurons)."""


def csv(file: Path, active: Matrix) -> None:
    layers, tokens, _ = active.shape
    rows = [
        f"{token},{layer},{' '.join(map(str, active[layer, token].nonzero()[0]))}\n"
        for token in range(tokens)
        for layer in range(layers)
    ]
    file.write_text("token,layer,neurons\n" + "".join(rows))


def packed(file: Path, active: Matrix) -> None:
    np.savez(file, packed=np.packbits(active, axis=-1), neurons=active.shape[2])


def trace_of(active: Matrix) -> NeuronTrace:
    return recorded([[row.nonzero()[0] for row in layer] for layer in active], active.shape[2])


FORMS: dict[str, Callable[[Path, Matrix], object]] = {
    "a.csv": csv,
    "active.npz": lambda file, active: np.savez(file, active=active),
    "packed.npz": packed,
    "lists.npz": lambda file, active: save_neurons(trace_of(active), file),
    "small.npz": lambda file, active: np.savez_compressed(file, active=active),
}


def matrix(trace: NeuronTrace) -> Matrix:
    active = np.zeros((trace.layers, trace.tokens, trace.neurons), dtype=np.bool_)
    for layer in range(trace.layers):
        for token, numbers in enumerate(trace.layer(layer)):
            active[layer, token, numbers] = True
    return active


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=20)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 300)),
    density=st.sampled_from([0, 0.1, 0.9, 1]),
    seed=st.integers(0, 99),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, form: str, shape: tuple[int, int, int], density: float, seed: int
) -> None:
    active = np.random.Generator(np.random.PCG64(seed)).random(shape) < density
    file = tmp_path_factory.mktemp("neurons") / form
    FORMS[form](file, active)
    trace = load_neurons(file, shape[2], shape[0])
    assert (trace.layers, trace.tokens, trace.neurons) == shape
    np.testing.assert_array_equal(matrix(trace), active)
    for numbers in trace.layer(0):
        assert numbers.dtype == np.int64
        assert np.all(np.diff(numbers) > 0)


def written(folder: Path, text: str, name: str = "a.csv") -> Path:
    file = folder / name
    file.write_text(text)
    return file


HEADER = "token,layer,neurons\n"


def test_rows_of_layers_come_in_any_order_and_neurons_too(tmp_path: Path) -> None:
    trace = load_neurons(written(tmp_path, HEADER + "0,1,3\n1,1,0\n\n0,0, 5 2 1 \r\n1,0,"))
    assert [[active.tolist() for active in trace.layer(layer)] for layer in (0, 1)] == [[[1, 2, 5], []], [[3], [0]]]
    assert trace.neurons == 6


def test_a_mark_of_byte_order_is_no_column(tmp_path: Path) -> None:
    assert load_neurons(written(tmp_path, "\ufeff" + HEADER + "0,0,3\n")).neurons == 4


# --- saving


def test_what_is_saved_is_small_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    trace = renewal(WindowLaw(0.1, 0.5), 2, 300, 20)
    for name in ("a.npz", "b.npz"):
        save_neurons(trace, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as archive:
        assert {name: archive[name].dtype.str for name in archive.files} == {
            "indices": "<u2",
            "offsets": "<u2",
            "neurons": "<i8",
        }
    loaded = load_neurons(tmp_path / "a.npz")
    np.testing.assert_array_equal(matrix(loaded), matrix(trace))
    np.testing.assert_array_equal(share(loaded, [1, 5]), share(trace, [1, 5]))


def test_other_names_and_folders_are_refused(tmp_path: Path) -> None:
    trace = trace_of(np.ones((1, 1, 1), dtype=np.bool_))
    with pytest.raises(ConfigError, match=r"name: found '\.csv', expected '\.npz'"):
        save_neurons(trace, tmp_path / "a.csv")
    with pytest.raises(ConfigError, match="cannot be written"):
        save_neurons(trace, tmp_path / "none" / "a.npz")


# --- mistakes


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "the recording is empty"),
        ("\n", 1, "header: found '', expected 'token,layer,neurons'"),
        (HEADER, 1, "the recording is empty"),
        ("layer,token,neurons\n0,0,1\n", 1, "header: found 'layer,token,neurons'"),
        (HEADER + "0,0\n", 2, "found 2 columns, expected 3, token, layer, neurons"),
        (HEADER + "0,0,1,2\n", 2, "found 4 columns"),
        (HEADER + "0,0,1\n\n1,0,x 2\n", 4, "neurons: found 'x', expected an integer, 0 or more"),
        (HEADER + "0,0,-1\n", 2, "neurons: found '-1'"),
        (HEADER + "0,0,1.0\n", 2, "neurons: found '1.0'"),
        (HEADER + "0,0,1_0\n", 2, "neurons: found '1_0'"),
        (HEADER + "0,0,٣\n", 2, "neurons: found '٣'"),
        (HEADER + "0,0,1 12345678901\n", 2, "neurons: found '12345678901'"),
        (HEADER + "0,0,1 8\n", 2, "neurons: found 8, expected 0 to 7"),
        (HEADER + "0,0,1 2 1\n", 2, "neurons: found 1 twice, expected different ones"),
        (HEADER + "a,0,1\n", 2, "token: found 'a'"),
        (HEADER + "0,-1,1\n", 2, "layer: found '-1'"),
        (HEADER + "1,0,1\n", 2, "token: found 1, expected 0, the next of layer 0"),
        (HEADER + "0,0,1\n0,0,1\n", 3, "token: found 0, expected 1, the next of layer 0"),
        (HEADER + "0,0,1\n2,0,1\n", 3, "token: found 2, expected 1, the next of layer 0"),
        (HEADER + "0,0,1\n0,2,1\n", None, "layer: found 2 but not 1"),
        (HEADER + "0,1,1\n", None, "layer: found 1 but not 0"),
        (HEADER + "0,0,1\n0,1,1\n1,1,0\n", None, "layer 1: found 2 tokens, expected 1, as in layer 0"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(tmp_path: Path, text: str, line: int | None, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_neurons(written(tmp_path, text), neurons=8)
    assert (f"a.csv:{line}: " if line else "a.csv: ") in str(error.value)
    assert says in str(error.value)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"activ": [[[True]]]}, "arrays: found 'activ', expected one of active, packed, indices; did you mean 'active'?"),
    ({"active": [[[True]]], "indices": [0]}, "arrays: found active and indices"),
    ({"active": [[True]]}, "active: found bool of shape (1, 1), expected booleans"),
    ({"active": [[[1]]]}, "active: found int64 of shape (1, 1, 1)"),
    ({"active": np.zeros((1, 0, 2), dtype=bool)}, "active: the recording is empty: found shape (1, 0, 2)"),
    ({"packed": np.zeros((1, 1, 1), dtype=np.uint8)}, "array: found 'packed', expected 'neurons'"),
    ({"packed": np.zeros((1, 1, 1), dtype=np.int8), "neurons": 8}, "packed: found int8"),
    ({"packed": np.zeros((1, 1, 1), dtype=np.uint8), "neurons": 9}, "found 1 bytes a token, expected 2 of 9 neurons"),
    ({"packed": np.full((1, 1, 1), 1, dtype=np.uint8), "neurons": 7}, "packed: found bits after the last neuron"),
    ({"indices": [0], "offsets": [[0, 1]]}, "expected 'neurons'"),
    ({"indices": [0], "neurons": 2}, "expected 'offsets'"),
    ({"indices": [0], "offsets": [[0, 1]], "neurons": 0}, "neurons: found 0, expected 1 to"),
    ({"indices": [0], "offsets": [[0, 1]], "neurons": [2]}, "neurons: found int64 of shape (1,), expected an integer"),
    ({"indices": [0.0], "offsets": [[0, 1]], "neurons": 2}, "indices: found float64"),
    ({"indices": [0], "offsets": [0, 1], "neurons": 2}, "offsets: found int64 of shape (2,)"),
    ({"indices": [0], "offsets": [[0]], "neurons": 2}, "offsets: the recording is empty"),
    ({"indices": [0], "offsets": [[0, 2]], "neurons": 2}, "offsets: found '[[0 2]]', expected rising from 0 to 1"),
    ({"indices": [0], "offsets": [[1, 1]], "neurons": 2}, "offsets: found '[[1 1]]'"),
    ({"indices": [0, 1], "offsets": [[0, 2, 1, 2]], "neurons": 2}, "offsets: found"),
    ({"indices": [0, 1], "offsets": [[0, 1], [0, 2]], "neurons": 2}, "each row from the end of the one before"),
    (
        {"indices": [0, 1], "offsets": [[0, 0, 1], [1, 1, 2]], "neurons": 1},
        "layer 1, token 1: found 1, expected 0 to 0",
    ),
    ({"indices": [0, -1], "offsets": [[0, 1], [1, 2]], "neurons": 4}, "layer 1, token 0: found -1, expected 0 to 3"),
    ({"indices": [2, 1, 0], "offsets": [[0, 1, 3]], "neurons": 4}, "layer 0, token 1: found 0, expected more than 1"),
    ({"indices": [2, 2], "offsets": [[0, 0, 2]], "neurons": 4}, "token 1: found 2, expected more than 2"),
    ({"active": np.array([None])}, "cannot be read: Object arrays cannot be loaded"),
]


@pytest.mark.parametrize(("arrays", "says"), MISTAKES)
def test_a_wrong_archive_is_refused(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "a.npz", **{name: np.array(values) for name, values in arrays.items()})
    with pytest.raises(ConfigError) as error:
        load_neurons(tmp_path / "a.npz")
    assert "a.npz: " in str(error.value)
    assert says in str(error.value)


def test_lists_of_any_integers_are_read(tmp_path: Path) -> None:
    lists = {
        "indices": np.array([3, 0, 1], dtype=np.uint64),
        "offsets": np.array([[0, 1, 1], [1, 1, 3]], dtype=np.int8),
    }
    np.savez(tmp_path / "a.npz", **lists, neurons=np.uint8(4))
    trace = load_neurons(tmp_path / "a.npz")
    assert [[active.tolist() for active in trace.layer(layer)] for layer in (0, 1)] == [[[3], []], [[], [0, 1]]]


def test_other_numbers_than_asked_for_are_refused(tmp_path: Path) -> None:
    csv(tmp_path / "a.csv", np.ones((2, 1, 3), dtype=np.bool_))
    packed(tmp_path / "a.npz", np.ones((2, 1, 3), dtype=np.bool_))
    for name in ("a.csv", "a.npz"):
        with pytest.raises(ConfigError, match=rf"{name}: layers: found 2, expected 32"):
            load_neurons(tmp_path / name, layers=32)
        with pytest.raises(ConfigError, match="neurons: found 0, expected 1 or more"):
            load_neurons(tmp_path / name, neurons=0)
    with pytest.raises(ConfigError, match=r"a\.npz: neurons: found 3, expected 4"):
        load_neurons(tmp_path / "a.npz", neurons=4)
    with pytest.raises(ConfigError, match="neurons: found none active"):
        load_neurons(written(tmp_path, HEADER + "0,0,\n"))


@pytest.mark.parametrize("called", ["none.csv", "none.npz", "bad.npz", "bad.csv", "empty.npz", "array.npz"])
def test_what_cannot_be_read_is_no_traceback(tmp_path: Path, called: str) -> None:
    (tmp_path / "bad.npz").write_text("no archive")
    (tmp_path / "bad.csv").write_bytes(HEADER.encode() + b"0,0,\xff\n")
    (tmp_path / "empty.npz").touch()
    with (tmp_path / "array.npz").open("wb") as out:
        np.save(out, np.zeros(3))
    with pytest.raises(ConfigError, match=rf"{called}(:2)?: cannot be read"):
        load_neurons(tmp_path / called)


@pytest.mark.parametrize(("called", "near"), [("a.npy", "did you mean '.npz'?"), ("a", "expected one of .csv, .npz")])
def test_a_form_that_there_is_not_is_refused(tmp_path: Path, called: str, near: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_neurons(written(tmp_path, "", called))
    assert near in str(error.value)


@settings(deadline=None, max_examples=100)
@given(text=st.text(alphabet=st.one_of(st.sampled_from("0123, \n\r\t"), st.characters(codec="utf-8")), max_size=60))
def test_any_text_is_a_recording_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("any") / "any.csv"
    file.write_text(HEADER + text, encoding="utf-8", newline="")
    try:
        assert load_neurons(file, neurons=5).tokens > 0
    except ConfigError as error:
        assert "any.csv" in str(error)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), compressed=st.booleans())
def test_a_broken_archive_is_a_recording_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, compressed: bool
) -> None:
    file = tmp_path_factory.mktemp("any") / "any.npz"
    save = np.savez_compressed if compressed else np.savez
    save(file, indices=np.array([0, 1], dtype=np.uint8), offsets=np.array([[0, 1, 2]]), neurons=3)
    content = bytearray(file.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
    try:
        assert load_neurons(file).tokens > 0
    except ConfigError as error:
        assert "any.npz" in str(error)
