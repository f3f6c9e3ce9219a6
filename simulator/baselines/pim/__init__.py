"""The kind of experiment `pim`: units in the memory beside one another, by rate, area, and energy x delay x area."""

from __future__ import annotations

from simulator.baselines.pim.form import PimExperiment
from simulator.baselines.pim.outcome import PimOutcome
from simulator.baselines.pim.run import PimKind

__all__ = ["PimExperiment", "PimKind", "PimOutcome"]
