from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.study.space.columns import Columns
from simulator.study.store import Manifest, Store, laid_out, load_store, open_store, write

POINTS, CHUNK = 10, 4
UNITS = {"bandwidth": "B/s", "latency_s": "s"}


def axes(start: int, stop: int) -> Columns:
    points = np.arange(start, stop)
    return {"bandwidth": points * 1e9, "batch": points % 3, "model": np.array(["a", "b"], dtype=object)[points % 2]}


def metrics(axes: Columns) -> Columns:
    error = np.where(axes["batch"] == 2, "too large", "").astype(object)
    latency = np.where(error == "", axes["bandwidth"] * 2, np.nan)
    return {"latency_s": latency, "steps": axes["batch"] + 1, "fits": error == "", "error": error}


def manifest(config: dict[str, object] | None = None, seed: int = 1, points: int = POINTS) -> Manifest:
    columns = laid_out(axes(0, 1), metrics(axes(0, 1)), UNITS)
    config = {"axes": {"batch": [0, 1, 2]}, "base": "a"} if config is None else config
    return replace(Manifest.of(Provenance(config, seed, "1.0"), points, CHUNK), columns=columns)


def fill(store: Store) -> None:
    for chunk in store.missing():
        write(store.folder, store.manifest, chunk, axes(*chunk), metrics(axes(*chunk)))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "sweep", manifest()) as store:
        yield store


def test_a_row_a_point_in_a_file_a_chunk(store: Store) -> None:
    assert store.missing() == [(0, 4), (4, 8), (8, 10)]
    fill(store)
    assert store.missing() == []
    assert sorted(path.name for path in store.folder.glob("*")) == [
        ".tiersim.lock", "part-000000000000-000000000004.parquet", "part-000000000004-000000000008.parquet",
        "part-000000000008-000000000010.parquet", "sweep.json",
    ]  # fmt: skip
    frame = store.frame()
    assert frame["point"].tolist() == list(range(POINTS))
    for name, values in axes(0, POINTS).items():
        assert frame[name].tolist() == values.tolist()
    assert frame["error"].tolist() == ["", "", "too large"] * 3 + [""]


def test_the_metrics_of_a_failed_point_are_null(store: Store) -> None:
    fill(store)
    failed = store.frame(where=pc.field("error") != "")
    assert failed["point"].tolist() == [2, 5, 8]
    assert failed[["latency_s", "steps", "fits"]].isna().all(axis=None)
    assert failed[["bandwidth", "batch", "model"]].notna().all(axis=None)


def test_units_and_origin_are_in_every_file(store: Store) -> None:
    fill(store)
    for path in store.folder.glob("part-*"):
        schema = pq.read_schema(path)
        units = {field.name: field.metadata[b"unit"].decode() for field in schema}
        assert {name: unit for name, unit in units.items() if unit} == UNITS
        origin = json.loads(schema.metadata[b"tiersim"])
        here = store.manifest
        assert origin == {"config_hash": here.config_hash, "version": "1.0", "seed": 1, "format": 2}
    said = json.loads((store.folder / "sweep.json").read_text())
    assert said["config"] == {"axes": {"batch": [0, 1, 2]}, "base": "a"}
    assert said["columns"][1] == {"name": "bandwidth", "dtype": "float64", "unit": "B/s", "role": "axis"}
    assert load_store(store.folder).manifest == store.manifest


def test_reading_by_columns_and_condition(store: Store) -> None:
    fill(store)
    batches = list(store.read(["batch", "point"], pc.field("model") == "b"))
    assert {tuple(batch.schema.names) for batch in batches} == {("batch", "point")}
    assert [point for batch in batches for point in batch["point"].to_pylist()] == [1, 3, 5, 7, 9]
    assert store.frame(3)["point"].tolist() == [0, 1, 2]
    assert store.frame(6, ["point"], pc.field("batch") == 0)["point"].tolist() == [0, 3, 6, 9]
    with pytest.raises(ConfigError, match=r"column: found 'latency', .*did you mean 'latency_s'"):
        store.read(["latency"])


def test_a_store_with_nothing_in_it_has_no_rows(store: Store) -> None:
    assert list(store.read()) == []
    assert list(store.frame().columns) == [column.name for column in store.manifest.columns]


@pytest.mark.parametrize("keep", [0, 5, -1])
def test_a_damaged_file_is_missing(store: Store, keep: int) -> None:
    fill(store)
    path = store.folder / "part-000000000004-000000000008.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert store.missing() == [(4, 8)]
    with pytest.raises(ConfigError, match="damaged"):
        store.frame()
    fill(store)
    assert path.read_bytes() == whole


def test_a_file_of_another_chunk_or_another_sweep_is_missing(store: Store, tmp_path: Path) -> None:
    fill(store)
    parts = sorted(store.folder.glob("part-*"))
    parts[1].write_bytes(parts[2].read_bytes())
    with open_store(tmp_path / "other", manifest(seed=2)) as other:
        fill(other)
        parts[0].write_bytes((other.folder / parts[0].name).read_bytes())
    assert store.missing() == [(0, 4), (4, 8)]


def test_the_same_sweep_goes_on(store: Store) -> None:
    fill(store)
    store.close()
    left = store.folder / f".tiersim-{32 * 'a'}.tmp"
    left.write_bytes(b"half")
    with open_store(store.folder, replace(manifest(), columns=())) as again:
        assert again.missing() == []
        assert again.manifest == store.manifest
    assert not left.exists()


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (manifest({"axes": {"batch": [0, 1, 4]}, "base": "a"}), r"found axes\.batch\.2 2, expected axes\.batch\.2 4"),
        (manifest({"axes": {"batch": [0, 1, 2]}}), "found base 'a', expected base nothing"),
        (manifest(seed=2), "found seed 1, expected seed 2"),
        (manifest(points=11), "found points 10, expected points 11"),
        (replace(manifest(), chunk=5, version="2.0"), "found version '1.0', chunk 4, expected version '2.0', chunk 5"),
    ],
)
def test_another_sweep_is_refused(store: Store, other: Manifest, says: str) -> None:
    store.close()
    with pytest.raises(ConfigError, match="another sweep.*" + says):
        open_store(store.folder, other)
    with open_store(store.folder, manifest()):  # the one refused holds no lock
        pass


def test_a_newer_store_is_refused(store: Store) -> None:
    store.close()
    file = store.folder / "sweep.json"
    file.write_text(file.read_text().replace('"format": 2', '"format": 3').replace('"1.0"', '"9.0"'))
    with pytest.raises(ConfigError, match=r"written by tiersim 9\.0, which is newer.*found 3, expected 2"):
        open_store(store.folder, manifest())
    with pytest.raises(ConfigError, match="newer"):
        load_store(store.folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 1}', '{"format": 1, "columns": [], "poins": 3}'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ConfigError, match=r"sweep\.json"):
        load_store(tmp_path)


def test_a_folder_without_a_sweep_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no results of a sweep"):
        load_store(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        open_store(tmp_path / "file", manifest())


def test_two_writers_are_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match=f"another run writes to the folder: process {os.getpid()} on "):
        open_store(store.folder, manifest())
    assert load_store(store.folder).missing()  # but readers are not
    store.close()
    with open_store(store.folder, manifest()):
        pass


def test_a_write_that_fails_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="cannot write it: no space"):
        write(store.folder, store.manifest, (0, 4), axes(0, 4), metrics(axes(0, 4)))
    assert sorted(path.name for path in store.folder.iterdir()) == [".tiersim.lock", "sweep.json"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"more_s": np.zeros(4)}, "not columns of every point: more_s"),
        ({"steps": np.zeros(3)}, "steps has 3 values for 4 points"),
        ({"steps": np.full(4, 0.5)}, "steps is not int64"),
        ({"latency_s": np.full(4, "long", dtype=object)}, "latency_s is not float64"),
    ],
)
def test_an_evaluation_that_changes_its_columns_is_a_fault(store: Store, changed: Columns, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        write(store.folder, store.manifest, (0, 4), axes(0, 4), {**metrics(axes(0, 4)), **changed})
    assert not list(store.folder.glob("*part*"))


def test_kinds_that_hold_the_same_values_are_taken(store: Store) -> None:
    given = {
        "latency_s": np.array([None, 1, 2.5, np.nan], dtype=object), "steps": np.array([1.0, np.nan, 3.0, 4.0]),
        "fits": np.array([True, None, False, True], dtype=object), "error": np.full(4, ""),
    }  # fmt: skip
    mixed = {**axes(0, 4), "model": np.array([1, None, "x", 2.5], dtype=object)}
    write(store.folder, store.manifest, (0, 4), mixed, given)
    rows = {name: [row[name] for batch in store.read() for row in batch.to_pylist()] for name in (*given, "model")}
    assert rows == {
        "latency_s": [None, 1.0, 2.5, None], "steps": [1, None, 3, 4], "fits": [True, None, False, True],
        "error": [""] * 4, "model": ["1", None, "x", "2.5"],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["point", "error", "latency_s"])
def test_an_axis_cannot_have_the_name_of_another_column(name: str) -> None:
    with pytest.raises(ConfigError, match=f"this name already: found '{name}'"):
        laid_out({name: np.zeros(1)}, metrics(axes(0, 1)), {})


def test_a_folder_has_no_more_than_a_million_files() -> None:
    assert len(list(Manifest.of(Provenance({}), 10**6, 1).chunks())) == 10**6
    with pytest.raises(ConfigError, match="too many points to compute each of them: found 1,000,001"):
        Manifest.of(Provenance({}), 10**6 + 1, 1)
