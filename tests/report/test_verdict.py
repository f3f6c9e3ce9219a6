from __future__ import annotations

from typing import Any

from simulator.report.verdict import verdict


def row(role: str = "prediction", simulated: float | None = 100.0, agrees: bool = True, **more: Any) -> dict[Any, Any]:
    ratio = None if simulated is None else simulated / 100
    given = {"figure": "12a", "metric": "latency", "condition": "batch=8", "published": 100.0, "unit": "ms"}
    return given | {"role": role, "simulated": simulated, "ratio": ratio, "agrees": agrees, "tolerance": 1.0} | more


def test_it_counts_the_predictions_only() -> None:
    first, *more = verdict([row(), row(simulated=102.0), row("disputed", 1.0, False), row("calibration")])
    assert first.startswith("2 of 2 predictions lie within 3 %")
    assert any("2.0 % off" in sentence and "102 ms for 100 ms" in sentence for sentence in more)
    assert any(sentence.startswith("1 published values are disputed (Fig. 12a)") for sentence in more)


def test_it_names_what_did_not_come_true() -> None:
    wrong = [row(simulated=150.0, agrees=False), row(simulated=None, agrees=False, figure="Table V")]
    first, second, *_ = verdict([row(), *wrong])
    assert first.startswith("1 of 3")
    assert "Fig. 12a, latency, `batch=8`: 150 ms for 100 ms (±1)" in second
    assert "Table V, latency, `batch=8`: refused for 100 ms" in second
    assert "and 1 more" in verdict([row(simulated=150.0, agrees=False)] * 6)[1]


def test_without_predictions_it_says_so() -> None:
    assert verdict([row("calibration")])[0] == "None of the published values is a prediction."
