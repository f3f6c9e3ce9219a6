"""The systems of a `serving` experiment: their colours, alike in all figures, how they are called, and their loops."""

from __future__ import annotations

import re
from math import isnan

from simulator.baselines.reproduction import Reproduction
from simulator.baselines.serving import ServingOutcome
from simulator.baselines.serving.form import Loops
from simulator.report import names, style

Setting = tuple[str, int, int, int]
"""Model, tokens in, tokens out, batch size."""
Ratios = dict[str, dict[Setting, float]]
"""System -> at each setting, its value over that of another system."""

_CALLED = {"Glam": "GLaM", "Opt": "OPT"}


def outcome_of(reproduction: Reproduction) -> ServingOutcome:
    """The run under the settings of the experiment itself."""
    outcome = reproduction.base.outcome
    assert isinstance(outcome, ServingOutcome)
    return outcome


def compared(outcome: ServingOutcome) -> dict[str, Loops]:
    """The closed loops that were run and have systems to compare."""
    form = outcome.experiment
    return {name: loop for name, loop in form.loops.items() if form.runs(name) and len(loop.systems) > 1}


def ratios(outcome: ServingOutcome, loop: str, column: str, over: str) -> Ratios:
    """Of each other system of a loop; not of those that have no value at any setting."""
    systems = [system for system in outcome.experiment.loops[loop].systems if system != over]
    every = {system: outcome.ratios(column, loop, system, over) for system in systems}
    return {system: found for system, found in every.items() if not all(isnan(value) for value in found.values())}


def colours(reproduction: Reproduction) -> dict[str, str]:
    """A colour for each system but the first, the baseline, which is grey."""
    baseline, *others = outcome_of(reproduction).experiment.systems
    cycle = (style.SKY, style.ORANGE, style.VERMILION, style.BLUE, style.GREEN, style.PURPLE, style.BLACK, "#F0E442")
    return {baseline: style.GREY, **{name: cycle[place % len(cycle)] for place, name in enumerate(others)}}


def called(system: str) -> str:
    """`2xgpu` is 2x GPU, `bank-pim` Bank-PIM, `duplex-pe-et` Duplex + PE + ET."""
    first, *more = system.replace("2x", "2x ").replace("gpu", "GPU").split("-")
    name = first if "GPU" in first else first.capitalize()
    for part in more:
        name += f" + {part.upper()}" if len(part) == 2 else f"-{part.upper() if len(part) == 3 else part}"
    return name


def model(name: str) -> str:
    """`glam-143b` is GLaM-143B, `mixtral-8x7b` Mixtral-8x7B."""
    text = re.sub(r"(?<=\d)X(?=\d)", "x", names.model(name))
    return "-".join(_CALLED.get(word, word) for word in text.split("-"))
