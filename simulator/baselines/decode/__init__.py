"""The kind of experiment `decode`: how fast machines generate tokens for one static batch, over its length."""

from __future__ import annotations

from simulator.baselines.decode.form import DecodeExperiment
from simulator.baselines.decode.outcome import DecodeOutcome
from simulator.baselines.decode.run import DecodeKind

__all__ = ["DecodeExperiment", "DecodeKind", "DecodeOutcome"]
