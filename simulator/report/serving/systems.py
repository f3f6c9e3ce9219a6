"""The systems of a `serving` experiment: their colours, alike in all figures, and their points."""

from __future__ import annotations

from simulator.baselines.reproduction import Reproduction
from simulator.baselines.serving import ServingOutcome
from simulator.report import style


def outcome_of(reproduction: Reproduction) -> ServingOutcome:
    """The run under the settings of the experiment itself."""
    outcome = reproduction.base.outcome
    assert isinstance(outcome, ServingOutcome)
    return outcome


def colours(reproduction: Reproduction) -> dict[str, str]:
    """A colour for each system but the first, the baseline, which is grey."""
    baseline, *others = outcome_of(reproduction).experiment.systems
    cycle = (style.SKY, style.ORANGE, style.VERMILION, style.BLUE, style.GREEN, style.PURPLE, style.BLACK)
    return {baseline: style.GREY, **{name: cycle[place % len(cycle)] for place, name in enumerate(others)}}


def called(system: str) -> str:
    """`2xgpu` is 2x GPU, `bank-pim` Bank-PIM, `duplex-pe-et` Duplex + PE + ET."""
    first, *more = system.replace("2x", "2x ").replace("gpu", "GPU").split("-")
    name = first if "GPU" in first else first.capitalize()
    for part in more:
        name += f" + {part.upper()}" if len(part) == 2 else f"-{part.upper() if len(part) == 3 else part}"
    return name
