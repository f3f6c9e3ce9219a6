"""Phones beside what PowerInfer-2 measured: what the experiment's README claims."""

from __future__ import annotations

import pytest

from simulator import data
from simulator.baselines.experiment import load_experiment, run
from simulator.baselines.flash import FlashExperiment, FlashOutcome
from simulator.baselines.published import read_published

NAME = "powerinfer-2"


@pytest.fixture(scope="module")
def outcome() -> FlashOutcome:
    form, _ = load_experiment(NAME, ["tokens=24", "warm_up=40"])
    assert isinstance(form, FlashExperiment)
    conditions = [{"model": model, "method": m} for model in ("mistral-5", "mistral-20") for m in form.methods]
    done = run(form.only([*conditions, {"chunk": 4096}]), lambda done, total: None)
    assert isinstance(done, FlashOutcome)
    return done


def ends(outcome: FlashOutcome, metric: str, *, of: str) -> tuple[float, float]:
    found = [point[metric] for point in outcome.points if (of in point["method"]) and "mistral" in point["model"]]
    return min(found), max(found)


def test_all_is_context_but_the_rates_of_the_flash() -> None:
    roles = {row.metric: row.role for row in read_published(data.folder("experiments") / NAME / "published.csv")}
    assert roles == {"tokens_per_s": "context", "io_share": "context", "bandwidth": "calibration"}


def test_the_published_rate_of_llm_in_a_flash_is_between_the_ends_of_what_is_left_out(outcome: FlashOutcome) -> None:
    slowest, fastest = ends(outcome, "tokens_per_s", of="read")
    assert slowest <= 2.3 <= fastest
    least, most = ends(outcome, "io_share", of="read")
    assert least <= 0.767 <= most


def test_powerinfer_is_faster_here_than_published(outcome: FlashOutcome) -> None:
    """1.4 tokens/s and 81.9 % published: at 20 % active neurons, 1.7 here."""
    slowest, fastest = ends(outcome, "tokens_per_s", of="powerinfer")
    assert 1.4 < slowest < 1.4 * 1.3 < fastest
    least, most = ends(outcome, "io_share", of="powerinfer")
    assert least < 0.819 < most


def test_each_input_moves_the_reads_the_way_that_it_must(outcome: FlashOutcome) -> None:
    read = {(point["model"], point["method"]): point["io_s"] for point in outcome.points}
    for model in ("mistral-5", "mistral-20"):
        assert read[model, "one-read"] < read[model, "two-reads"] < read[model, "powerinfer"]
        assert read[model, "one-read-window"] < read[model, "one-read"]
    assert all(read["mistral-5", method] < read["mistral-20", method] for _, method in read)


def test_the_flash_reads_as_measured(outcome: FlashOutcome) -> None:
    for chunk, rate in ((4096, 1.0761e9), (524288, 3.5e9)):
        point = {"system": "phone", "chunk": chunk, "threads": 32}
        assert outcome.measure("bandwidth", point) == pytest.approx(rate, rel=1e-3)
