"""The colour of each model of a `decode` experiment, alike in all figures, and its published values."""

from __future__ import annotations

from typing import Any

from simulator.baselines.decode import DecodeOutcome
from simulator.baselines.published import Published
from simulator.baselines.reproduction import Compared, Reproduction
from simulator.report import style

Point = dict[str, Any]


def colours(reproduction: Reproduction) -> dict[str, str]:
    """A colour for each model that predictions are made of, in the experiment's order."""
    counted = {_point(reproduction, row.published)["model"] for row in reproduction.predictions()}
    known = [model for model in dict.fromkeys(reproduction.base.frames()["points"]["model"]) if model in counted]
    return {model: style.CYCLE[place % len(style.CYCLE)] for place, model in enumerate(known)}


def placed(reproduction: Reproduction) -> list[tuple[Compared, Point]]:
    """The rows of a reproduction, each with its point."""
    return [(row, _point(reproduction, row.published)) for row in reproduction.rows]


def rate(published: Published, point: Point) -> float | None:
    """A published rate, tokens/s: as it is, or from the latency of all tokens of a user; of another metric, None."""
    if published.metric == "latency":
        return float(point["output"] / published.published * published.from_si(1.0))
    return published.published if published.metric in ("tokens_per_s", "decode_tokens_per_s") else None


def _point(reproduction: Reproduction, published: Published) -> Point:
    outcome = reproduction.base.outcome
    assert isinstance(outcome, DecodeOutcome)
    return outcome.point(published.condition)
