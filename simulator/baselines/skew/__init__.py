"""The kind of experiment `skew`: how unevenly tokens fall on experts, and what two engines gain that share them."""

from __future__ import annotations

from simulator.baselines.skew.form import SkewExperiment
from simulator.baselines.skew.outcome import SkewOutcome
from simulator.baselines.skew.run import SkewKind

__all__ = ["SkewExperiment", "SkewKind", "SkewOutcome"]
