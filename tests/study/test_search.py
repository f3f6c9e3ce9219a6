"""Searches repeat themselves by seed, never a point, go on where they were killed, and find the front."""

from __future__ import annotations

import json
from itertools import product
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import registry
from simulator.errors import ConfigError
from simulator.study.search import SearchResult, Seen, search
from simulator.study.search.seen import Indices
from simulator.study.space.columns import Columns

OBJECTIVES = {"tokens_per_s": "max", "area_mm2": "min", "energy_j": "min"}
QUICK = ["random", "sobol", "latin", "local", "nsga2", "nsga3", "tpe"]


class Machines:
    """A roofline: compute, bandwidth and SRAM by level, batch, and devices that share a model over links."""

    sizes = (6, 6, 4, 6, 4, 2)

    def __init__(self) -> None:
        self.calls: list[int] = []

    def at(self, indices: Indices) -> Columns:
        peak, bandwidth, sram, batch, devices, link = indices.T
        return {"peak": 1e14 * 1.8**peak, "bandwidth": 1e12 * 1.5**bandwidth, "sram": 32.0 * 2**sram,
                "batch": 2.0**batch, "devices": 2.0**devices, "link": 1e11 * (1 + 3 * link)}  # fmt: skip

    def evaluate(self, c: Columns) -> Columns:
        self.calls.append(len(c["batch"]))
        compute = 140e9 * c["batch"] / (c["peak"] * np.sqrt(c["sram"] / 256) * c["devices"])
        memory = (140e9 + 1.3e9 * c["batch"]) / (c["bandwidth"] * c["devices"])
        time = np.maximum(compute, memory) + (c["devices"] > 1) * 160 * (6e-6 + c["batch"] * 32768 / c["link"])
        area = c["devices"] * (c["peak"] / 4e12 + c["sram"] * 1.2 + c["bandwidth"] / 4e10 + 60)
        joules = 0.1 * c["batch"] + 6 + (60 * c["devices"] + 0.08 * area) * time
        error = np.where(c["sram"] * c["link"] > 1e14, "too wide", "").astype(object)
        broken = error != ""
        return {"tokens_per_s": np.where(broken, np.nan, c["batch"] / time), "area_mm2": area,
                "energy_j": joules / c["batch"], "time_s": time, "error": error}  # fmt: skip

    def feasible(self, metrics: Columns) -> np.ndarray:
        return (metrics["time_s"] < 0.1) & (metrics["area_mm2"] < 4000)

    def all(self) -> Indices:
        return np.array(list(product(*map(range, self.sizes))), dtype=np.int64)


def found(method: str, machines: Machines | None = None, evaluations: int = 120, **options: object) -> SearchResult:
    machines = machines or Machines()
    return search(
        machines, machines.evaluate, OBJECTIVES, machines.feasible, method, evaluations, **{"batch": 16, **options}
    )


def box(one: SearchResult) -> tuple[list[float], list[float]]:
    front = one.values[one.front]
    low, high = front.min(axis=0).tolist(), front.max(axis=0).tolist()
    return [high[0], *low[1:]], [low[0], *high[1:]]


@pytest.mark.parametrize("method", [*QUICK, pytest.param("gp", marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_points_and_none_twice(method: str) -> None:
    if method == "gp":
        pytest.importorskip("torch")
    evaluations = 40 if method == "gp" else 120
    one, other, another = (found(method, evaluations=evaluations, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.indices, other.indices)
    assert not np.array_equal(one.indices, another.indices)
    assert len(np.unique(one.indices, axis=0)) == len(one.indices) == evaluations
    assert {len(column) for column in (*one.columns.values(), *one.metrics.values())} == {evaluations}


@pytest.mark.parametrize("method", QUICK)
def test_points_are_evaluated_a_batch_in_one_call(method: str) -> None:
    machines = Machines()
    found(method, machines, evaluations=100)
    assert sum(machines.calls) == 100
    assert max(machines.calls) == 16
    assert len(machines.calls) <= 16  # some batches are short where a design repeats itself


@pytest.mark.parametrize("method", QUICK)
@pytest.mark.parametrize("stop", [1, 3])
def test_a_search_that_was_killed_goes_on(method: str, stop: int, tmp_path: Path) -> None:
    whole = found(method, storage=tmp_path / "whole.jsonl", seed=3)

    class Killed(Machines):
        def evaluate(self, c: Columns) -> Columns:
            if len(self.calls) == stop:
                raise KeyboardInterrupt
            return super().evaluate(c)

    log = tmp_path / "part.jsonl"
    with pytest.raises(KeyboardInterrupt):
        found(method, Killed(), storage=log, seed=3)
    with log.open("ab") as file:
        file.write(b'[[0,0,0,0,0,0],{"tokens_per')  # cut off in a write
    machines = Machines()
    resumed = found(method, machines, storage=log, seed=3)
    assert sum(machines.calls) < 120
    for name in OBJECTIVES:
        assert np.array_equal(resumed.metrics[name], whole.metrics[name], equal_nan=True)
    assert resumed.metrics["error"].tolist() == whole.metrics["error"].tolist()
    assert log.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    nothing = Machines()
    again = found(method, nothing, storage=log, seed=3)
    assert nothing.calls == []
    assert np.array_equal(again.indices, whole.indices)


def test_a_log_gives_what_a_call_gave(tmp_path: Path) -> None:
    plain, logged = found("random"), found("random", storage=tmp_path / "log.jsonl")
    reread = found("random", storage=tmp_path / "log.jsonl")
    for name, column in plain.metrics.items():
        for other in (logged.metrics[name], reread.metrics[name]):
            assert other.dtype == column.dtype
            assert np.array_equal(other, column, equal_nan=column.dtype != object)


def test_one_log_serves_several_searches(tmp_path: Path) -> None:
    found("random", evaluations=1000, storage=tmp_path / "log.jsonl")
    machines = Machines()
    found("sobol", machines, evaluations=500, storage=tmp_path / "log.jsonl")
    assert 0 < sum(machines.calls) < 500


@settings(max_examples=50, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_a_damaged_log_changes_no_answer(share: float, mask: int) -> None:
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        whole = found("random", storage=log, evaluations=40)
        data = bytearray(log.read_bytes())
        data[int(share * len(data))] ^= mask
        log.write_bytes(data)
        machines = Machines()
        try:
            again = found("random", machines, storage=log, evaluations=40)
        except ConfigError as error:
            assert str(log) in str(error) and log.read_bytes() == data
        else:
            assert sum(machines.calls) <= 2
            assert np.array_equal(again.indices, whole.indices)
            for name, column in whole.metrics.items():
                assert np.array_equal(again.metrics[name], column, equal_nan=column.dtype != object)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"search":2,"sizes":"6 x 7","identity":""}\n', "sizes: not of this search: found '6 x 7', expected '6 x 6 x"),
        ('{"search":3}\n', "1: search: not of this search: found 3, expected 2, or a new file"),
        ("[1]\n", "not of this search"),
        ("other text without an end of line", "1: no log of a search: expected a line of JSON"),
        ("no json\n", "1: no log of a search: expected a line of JSON"),
        ('{"search":2,"sizes":"6 x 6 x 4 x 6 x 4 x 2","identity":"else"}\n', "identity: not of this search"),
    ],
)
def test_a_file_of_something_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(ConfigError, match=message):
        found("random", storage=tmp_path / "log.jsonl")
    assert (tmp_path / "log.jsonl").read_text() == text


@pytest.mark.parametrize("method", QUICK)
def test_every_point_of_a_small_space_and_no_more(method: str) -> None:

    class Few(Machines):
        sizes = (2, 3, 1, 2, 1, 2)

    machines = Few()
    one = found(method, machines, evaluations=1000)
    assert sorted(map(tuple, one.indices.tolist())) == sorted(map(tuple, machines.all().tolist()))


@pytest.mark.parametrize("method", ["random", "sobol", "local", "nsga2", "tpe"])
def test_a_space_far_too_large_to_enumerate(method: str) -> None:

    class Endless(Machines):
        sizes = (10**6,) * 12

        def at(self, indices: Indices) -> Columns:
            return super().at(indices[:, :6] * self.__class__.few // 10**6)

        few = np.array(Machines.sizes)

    assert prod(Endless.sizes) > 2**64
    assert len(found(method, Endless()).indices) == 120


def test_points_that_fail_or_break_a_constraint_are_not_feasible() -> None:
    one = found("random", evaluations=500)
    broken = one.metrics["error"] != ""
    assert broken.any()
    assert not one.feasible[broken].any()
    assert np.array_equal(one.feasible, ~broken & (one.metrics["time_s"] < 0.1) & (one.metrics["area_mm2"] < 4000))


@pytest.mark.parametrize("method", QUICK)
def test_where_nothing_is_feasible_the_search_ends(method: str) -> None:
    machines = Machines()
    one = search(machines, machines.evaluate, OBJECTIVES, lambda m: np.zeros(len(m["error"]), bool), method, 60, 16)
    assert len(one.indices) == 60
    assert not one.front.any()
    assert not one.progress().any()


def test_local_search_and_tpe_find_the_front_where_random_search_does_not() -> None:
    machines = Machines()
    every = found("random", evaluations=prod(Machines.sizes), batch=prod(Machines.sizes))
    best, worst = box(every)
    full = every.progress(best, worst)[-1]
    share = {
        method: np.median([found(method, machines, 345, seed=s).progress(best, worst)[-1] / full for s in range(5)])
        for method in ("local", "tpe", "random")
    }  # 345 is 5 % of the points
    assert min(share["local"], share["tpe"]) >= 0.95 > share["random"]


@pytest.mark.parametrize("objectives", [{"energy_j": "min"}, {"energy_j": "min", "area_mm2": "min"}])
@pytest.mark.parametrize("method", ["local", "tpe"])
def test_a_search_with_fewer_objectives(method: str, objectives: dict[str, str]) -> None:
    machines = Machines()
    every = machines.evaluate(machines.at(machines.all()))
    holds = machines.feasible(every) & (every["error"] == "")
    one = search(machines, machines.evaluate, objectives, machines.feasible, method, 345, 16)
    assert one.metrics["energy_j"][one.front].min() == every["energy_j"][holds].min()


def test_progress_is_the_share_of_the_box_that_the_front_dominates() -> None:
    values = np.array([[1.0, 1.0], [3.0, 1.0], [2.0, 2.0], [0.0, 9.0], [1.0, 3.0], [3.0, 3.0]])
    metrics = {"a": values[:, 0], "b": values[:, 1]}
    feasible = np.array([True, True, True, True, True, False])
    one = SearchResult({"a": "max", "b": "max"}, np.arange(6)[:, None], {}, metrics, feasible)
    assert one.front.tolist() == [False, True, True, True, True, False]
    assert one.progress([4, 4], [0, 0]).tolist() == pytest.approx(np.array([1, 3, 5, 5, 6, 6]) / 16)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30), st.integers(0, 10))
def test_progress_never_falls(points: list[tuple[int, int]], seed: int) -> None:
    values = np.array(points, dtype=float).reshape(-1, 2)
    feasible = np.random.default_rng(seed).random(len(points)) < 0.8
    one = SearchResult({"a": "max", "b": "min"}, values, {}, {"a": values[:, 0], "b": values[:, 1]}, feasible)
    progress = one.progress([4, 0], [-1, 5])
    assert np.all(np.diff(progress) >= 0)
    assert np.all((progress >= 0) & (progress <= 1))


def test_a_method_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in registry.HOMES:  # ours are registered once, and stay
        registry.names(kind)
    monkeypatch.setattr(registry, "_registered", {kind: dict(known) for kind, known in registry._registered.items()})

    @registry.register("search", "first")
    def first(seen: Seen, evaluations: int, batch: int, seed: int):
        yield np.zeros((5, len(seen.sizes)), dtype=np.int64)  # one point, five times
        yield np.zeros((5, len(seen.sizes)), dtype=np.int64)  # once more: one at random instead

    one = found("first", evaluations=50)  # and at random once it has no more
    assert one.indices[0].tolist() == [0] * 6
    assert len(np.unique(one.indices, axis=0)) == 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "locl"}, "no such search: found locl, expected one of .*; did you mean 'local'"),
        ({"method": "random", "evaluations": 0}, "evaluations: found 0, expected 1 or more"),
        ({"method": "random", "batch": 0}, "batch: found 0, expected 1 or more"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        found(**options)  # type: ignore[arg-type]


def test_an_objective_that_the_points_lack() -> None:
    machines = Machines()
    with pytest.raises(
        ConfigError, match=r"objectives: the points have no such metric: found 'area', .*mean 'area_mm2'"
    ):
        search(machines, machines.evaluate, {"area": "min"}, method="random")
    with pytest.raises(ConfigError, match="objectives: found none, expected one or more"):
        search(machines, machines.evaluate, {}, method="random")


def test_the_log_is_a_line_a_point(tmp_path: Path) -> None:
    one = found("random", evaluations=20, storage=tmp_path / "log.jsonl", identity="abc")
    head, *lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(head) == {"search": 2, "sizes": "6 x 6 x 4 x 6 x 4 x 2", "identity": "abc"}
    assert [json.loads(line)[0] for line in lines] == one.indices.tolist()
