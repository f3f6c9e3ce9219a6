"""Whatever becomes of the files of a store, a run makes it whole or refuses it, and a query tells no wrong number."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.study.execute import execute
from simulator.study.query import query
from simulator.study.questions.searched import search
from simulator.study.store import Manifest, load_store, open_store

POINTS, CHUNK = 95, 20
FOREIGN = (
    ".x.tmp", ".lock", ".tiersim-x.tmp", "notes.txt", "part-0.parquet", "sweep.json.bak",
    "part-000000000000-000000000099.parquet", "part-000000000020-000000000040.parquet.bak",
)  # fmt: skip

Files = dict[str, bytes]
Damage = Callable[[Files, Files], None]
"""Changes the files of a store, given those and the ones that are not its own."""


def job(points: int = POINTS) -> Any:
    def columns(start, stop):
        point = np.arange(start, stop)
        return {"x": point % 7 * 0.1, "kind": np.array(["a", "b"], dtype=object)[point % 2]}

    def evaluate(axes):
        error = np.where(axes["x"] == 0, "x is none", "").astype(object)
        return {"cost_s": np.where(error == "", np.exp(axes["x"]), np.nan), "error": error}

    return SimpleNamespace(points=points, units={"cost_s": "s"}, columns=columns, evaluate=evaluate)


def run(folder: Path, points: int = POINTS, chunk: int = CHUNK, seed: int = 5) -> None:
    with open_store(folder, Manifest.of(Provenance({"toy": 1}, seed, "1.0"), points, chunk)) as store:
        execute(job(points), store, workers=1)


def kept(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".tiersim.lock"}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("store")
    run(folder)
    return kept(folder)


# --- damage

NAMES = ["sweep.json", *(f"part-{i:012d}-{min(i + CHUNK, POINTS):012d}.parquet" for i in range(0, POINTS, CHUNK))]


def flip(name: str, share: float, mask: int) -> Damage:
    def damage(own: Files, foreign: Files) -> None:
        if data := bytearray(own.get(name, b"")):
            data[int(share * len(data))] ^= mask
            own[name] = bytes(data)

    return damage


def cut(name: str, share: float) -> Damage:
    def damage(own: Files, foreign: Files) -> None:
        if name in own:
            own[name] = own[name][: int(share * len(own[name]))]

    return damage


def swap(one: str, other: str) -> Damage:
    def damage(own: Files, foreign: Files) -> None:
        if one in own and other in own:
            own[one], own[other] = own[other], own[one]

    return damage


def lose(name: str) -> Damage:
    return lambda own, foreign: own.pop(name, b"") and None


def add(name: str, data: bytes | str) -> Damage:
    """A file of somebody else: of any bytes, or a copy of one of the store."""

    def damage(own: Files, foreign: Files) -> None:
        foreign[name] = own.get(data, b"") if isinstance(data, str) else data

    return damage


SHARES = st.floats(0, 1, exclude_max=True)
OWN = st.sampled_from(NAMES)
DAMAGE = st.one_of(
    st.builds(flip, OWN, SHARES, st.integers(1, 255)),
    st.builds(cut, OWN, SHARES),
    st.builds(swap, OWN, OWN),
    st.builds(lose, OWN),
    st.builds(add, st.sampled_from(FOREIGN), st.binary(max_size=99) | OWN),
)


@settings(max_examples=60, deadline=None)
@given(damages=st.lists(DAMAGE, min_size=1, max_size=4))
def test_a_damaged_store_is_made_whole_or_refused_and_tells_no_wrong_number(
    pristine: Files, damages: list[Damage]
) -> None:
    own, foreign = dict(pristine), {}
    for damage in damages:
        damage(own, foreign)
    sound = [name for name, data in own.items() if data == pristine[name] and name != "sweep.json"]
    known = own.get("sweep.json") == pristine["sweep.json"]
    whole = known and len(sound) == len(own) - 1
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in {**own, **foreign}.items():
            (folder / file).write_bytes(data)
        if whole and sound:
            rows = sum(int(part[18:30]) - int(part[5:17]) for part in sound)
            assert query(folder, "select count(*) as points from points")["points"].tolist() == [rows]
            assert len(load_store(folder).frame()) == rows
        else:
            with pytest.raises(ConfigError, match=str(folder)):
                query(folder, "select count(*) from points")
            if own.keys() - {"sweep.json"}:
                with pytest.raises(ConfigError, match=str(folder)):
                    load_store(folder).frame()
        assert kept(folder) == {**own, **foreign}, "a reader writes nothing"
        if known or sound or not (own or foreign):
            run(folder)
            assert kept(folder) == {**pristine, **foreign}
        else:
            with pytest.raises(ConfigError, match=str(folder)):
                run(folder)
            assert kept(folder) == {**own, **foreign}


@given(foreign=st.dictionaries(st.sampled_from([*FOREIGN, NAMES[1]]), st.binary(max_size=99), min_size=1))
def test_a_folder_of_something_else_is_refused_with_what_it_holds(foreign: Files) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in foreign.items():
            (folder / file).write_bytes(data)
        for write in (run, lambda folder: search("memory-wall", folder, evaluations=1)):
            with pytest.raises(ConfigError, match=f"{folder}: the folder holds something else: found ") as error:
                write(folder)
            assert min(foreign) in str(error.value)
        there = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert there == foreign, "not even a lock is left"


def test_the_parts_of_another_sweep_prove_nothing(pristine: Files, tmp_path: Path) -> None:
    run(tmp_path, seed=6)
    (tmp_path / "sweep.json").unlink()
    other = kept(tmp_path)
    with pytest.raises(ConfigError, match="the folder holds something else: found part-0000"):
        run(tmp_path)
    assert kept(tmp_path) == other


@given(write=st.integers(0, 7), code=st.sampled_from([errno.ENOSPC, errno.EDQUOT, errno.EIO]))
def test_on_a_full_disk_the_run_says_so_and_goes_on_later(pristine: Files, write: int, code: int) -> None:
    writes, real = 0, os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal writes
        writes += 1
        if writes > write:
            raise OSError(code, os.strerror(code))
        real(descriptor)

    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setattr(os, "fsync", fsync)
        if write < len(pristine) + 1:  # the manifest is written twice: with its columns, once they are known
            with pytest.raises(ConfigError, match=f"cannot write it: {os.strerror(code)}"):
                run(folder)
            parts = {file: data for file, data in kept(folder).items() if file != "sweep.json"}
            assert parts.items() <= pristine.items() and len(parts) == max(0, write - 2)
        patch.undo()
        run(folder)
        assert kept(folder) == pristine


# --- memory


@pytest.mark.parametrize("parts", [4, 40])
def test_reading_takes_the_memory_of_one_part(parts: int, tmp_path: Path) -> None:
    """However many parts there are, and however slow is what reads them."""
    chunk = 20_000
    run(tmp_path, parts * chunk, chunk)
    before, most, part = pa.total_allocated_bytes(), 0, 0
    for number, batch in enumerate(load_store(tmp_path).read()):
        part = max(part, batch.nbytes)
        time.sleep(0.2 if number == 0 else 0)  # time to read ahead
        most = max(most, pa.total_allocated_bytes() - before)
    assert number == parts - 1
    assert most < 3 * part
