"""The kind of experiment `flash`: models whose FFN is read from flash, by policy and machine."""

from __future__ import annotations

from simulator.baselines.flash.form import FlashExperiment
from simulator.baselines.flash.outcome import FlashOutcome
from simulator.baselines.flash.run import FlashKind

__all__ = ["FlashExperiment", "FlashKind", "FlashOutcome"]
