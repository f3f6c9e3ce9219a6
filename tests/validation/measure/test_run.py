"""A run goes on where it was left, keeps its budget, and writes its own file alone; repeats are timed by the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.validation.measure import sample as sample_
from simulator.validation.measure.rows import Point, Sample, read_measured
from simulator.validation.measure.run import Bench, run
from simulator.validation.measure.sample import FEWEST, MOST, TICK, sampled, summary

POINTS = [Point("cpu", "gemm", "fp32", size, size, size, threads=1) for size in (8, 16, 32, 64)]


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Machine:
    """Takes a second a point, and remembers what it measured."""

    def __init__(self, fails: Point | None = None) -> None:
        self.clock, self.measured, self.fails = Clock(), [], fails

    def sample(self, point: Point) -> Sample:
        if point == self.fails:
            raise KeyboardInterrupt
        self.clock.now += 1
        self.measured.append(point)
        return Sample(1.0, 0.5, 0.1, 3)

    def run(self, file: Path, **options: object):
        return run(Bench("by a test", POINTS, self.sample), file, clock=self.clock, **options)


def test_a_run_that_was_ended_goes_on_and_measures_nothing_twice(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    first, second, third = Machine(fails=POINTS[2]), Machine(), Machine()
    with pytest.raises(KeyboardInterrupt):
        first.run(file)
    done = second.run(file)
    assert (first.measured, second.measured) == (POINTS[:2], POINTS[2:])
    assert (done.measured, done.before, done.left) == (2, 2, 0)
    before = file.read_bytes()
    assert third.run(file).before == 4
    assert not third.measured
    assert file.read_bytes() == before


def test_nothing_is_begun_after_the_budget(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    done = Machine().run(tmp_path / "rows.csv", budget=2.0, progress=lambda *each: told.append(each))
    assert (done.measured, done.left) == (2, 2)
    assert [each[1:] for each in told] == [(1, 4), (2, 4)]
    assert Machine().run(tmp_path / "rows.csv", budget=0.0).measured == 0


def test_no_other_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    Machine().run(tmp_path / "rows.csv")
    assert {file.name for file in tmp_path.iterdir()} == {"mine.txt", "rows.csv"}
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert [row.sample for row in read_measured(tmp_path / "rows.csv")] == [Sample(1.0, 0.5, 0.1, 3)] * 4


@pytest.mark.parametrize("takes", [1e-7, 3e-5, 1e-3, 2.0])
def test_a_call_is_repeated_for_the_time_and_long_enough_each(takes: float) -> None:
    clock, calls = Clock(), []

    def call() -> None:
        calls.append(clock.now)
        clock.now += takes

    measured = sampled(call, 0.5, clock)
    assert measured.value == pytest.approx(takes)
    assert measured.least == pytest.approx(takes)
    assert measured.spread == pytest.approx(0, abs=1e-6)
    assert FEWEST <= measured.repeats <= MOST
    assert (len(calls) - 2) / measured.repeats * takes >= TICK * 0.99
    assert clock.now <= max(0.5, FEWEST * takes) + 4 * max(takes, TICK)


def test_a_repeat_in_which_the_core_was_taken_away_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, taken, turn = Clock(), [0], [0]
    monkeypatch.setattr(sample_, "_switches", lambda: taken[0])

    def call() -> None:
        turn[0] += 1
        late = turn[0] % 3 == 0
        taken[0] += late
        clock.now += 0.01 + late

    measured = sampled(call, 20.0, clock)
    assert (measured.value, measured.spread) == (pytest.approx(0.01), pytest.approx(0, abs=1e-9))

    def always() -> None:
        taken[0] += 1
        clock.now += 0.01

    assert sampled(always, 0.2, clock).repeats >= FEWEST


def test_a_summary_is_the_median_the_least_and_the_quartiles() -> None:
    assert summary([4.0, 1.0, 2.0, 3.0, 5.0]) == Sample(3.0, 1.0, 2 / 3, 5)
