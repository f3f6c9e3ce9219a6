"""The kind of experiment `coe`: a Composition of Experts on several machines, over the number of experts."""

from __future__ import annotations

from simulator.baselines.coe.form import CoeExperiment
from simulator.baselines.coe.outcome import CoeOutcome
from simulator.baselines.coe.run import CoeKind

__all__ = ["CoeExperiment", "CoeKind", "CoeOutcome"]
