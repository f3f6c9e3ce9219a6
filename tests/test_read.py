"""Whatever bytes a file has: its reader gives what is in it, or says the file and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError, TiersimError
from simulator.files import read_lines, read_rows, read_text, replacement
from simulator.validation.published import COLUMNS, read_published
from simulator.workload import load_model, load_trace
from simulator.workload.neurons.files import load_neurons
from simulator.workload.routing.files import read_layers

PUBLISHED = ",".join(COLUMNS) + "\n1a,ttft,batch=8,prediction,1.5,ms,0.1,Fig. 1a\n"
CONFIG = '{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}'
READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "published.csv": (PUBLISHED, read_published),
    "trace.csv": ("prompt,expert\na,0\nb,1\n", load_trace),
    "routing.csv": ("step,token,layer,expert_0\n0,0,0,1\n", lambda file: read_layers(file, None, None)),
    "routing.jsonl": (
        '{"type": "route", "token_idx": 0, "layer": 0, "topk_ids": [1]}\n', lambda file: read_layers(file, None, None)
    ),
    "routing.npz": ("PK\x03\x04", lambda file: read_layers(file, None, None)),
    "routing.parquet": ("PAR1", lambda file: read_layers(file, None, None)),
    "neurons.csv": ("token,layer,neurons\n0,0,1 2\n", load_neurons),
    "neurons.npz": ("PK\x03\x04", load_neurons),
    "config.json": (CONFIG, load_model),
    "model.yaml": ("extends: llama-2-7b\nlayers: 2\n", load_model),
}  # fmt: skip

ODD = [
    b"\xe9",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x00",
    b'"',
    b"\r",
    b"\n",
    b",",
    b"\x1b",
    b"\xed\xa0\x80",
    b"9" * 5000,
    b"{",
    b"[",
]


@st.composite
def damaged(draw: st.DrawFn, text: str) -> bytes:
    """A file that is cut, or has other bytes somewhere in it; or any bytes."""
    data = text.encode()
    at = draw(st.integers(0, len(data)))
    inserted = draw(st.sampled_from(ODD) | st.binary(max_size=6))
    return draw(st.sampled_from([data[:at], data[:at] + inserted + data[at:], data[:at] + inserted, inserted]))


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_bytes_are_read_or_refused_with_the_file(name: str, data: st.DataObject) -> None:
    text, read = READERS[name]
    with TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(data.draw(damaged(text)))
        try:
            read(file)
        except TiersimError as error:
            assert name in str(error) or "--set" in str(error)


@pytest.mark.parametrize("name", [name for name in READERS if not name.endswith((".npz", ".parquet"))])
def test_latin_1_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    text, read = READERS[name]
    file = tmp_path / name
    file.write_bytes(text.encode() + b"\n\xe9")
    line = text.count("\n") + 2
    with pytest.raises(ConfigError, match=rf"{name}:{line}: cannot be read: it is not UTF-8 text: found the byte 0xe9"):
        read(file)


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        READERS[name][1](tmp_path / name)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), min_size=1), st.booleans())
def test_lines_are_those_of_the_text(lines: list[str], mark: bool) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "a.txt"
        text = "\n".join(lines)
        file.write_bytes((b"\xef\xbb\xbf" if mark else b"") + text.encode())
        if mark or not text.startswith("\ufeff"):
            assert read_text(file) == text
            assert [line.removesuffix("\n") for _, line in read_lines(file)] == (lines if lines[-1] else lines[:-1])


def test_a_cell_may_be_long_and_a_row_may_not_be_cut(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a,b\n1," + "x" * 200_000 + "\n")
    assert [len(row[1]) for _, row in read_rows(file)] == [1, 200_000]
    for cut in ('a,b\n1,"x', "a,b\n1", "a,b\n1,2,3\n"):
        file.write_text(cut)
        with pytest.raises(ConfigError, match=r"a\.csv:2: "):
            list(read_rows(file))


def test_a_full_disk_is_told_with_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"a\.csv: cannot be written: No space left"),
        replacement(tmp_path / "a.csv") as part,
    ):
        part.symlink_to("/dev/full")
        part.write_text("x")
    assert not list(tmp_path.iterdir())
