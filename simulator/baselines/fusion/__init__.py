"""The kind of experiment `fusion`: what fusing operators, and starting fused kernels, is worth on a dataflow engine."""

from __future__ import annotations

from simulator.baselines.fusion.form import FusionExperiment
from simulator.baselines.fusion.outcome import FusionOutcome
from simulator.baselines.fusion.run import FusionKind

__all__ = ["FusionExperiment", "FusionKind", "FusionOutcome"]
