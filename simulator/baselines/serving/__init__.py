"""The kind of experiment `serving`: systems that serve models under continuous batching, beside one another."""

from __future__ import annotations

from simulator.baselines.serving.form import ServingExperiment
from simulator.baselines.serving.outcome import ServingOutcome
from simulator.baselines.serving.run import ServingKind

__all__ = ["ServingExperiment", "ServingKind", "ServingOutcome"]
