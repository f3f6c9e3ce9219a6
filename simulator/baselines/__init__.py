"""Is it true? Experiments, and their results beside published ones."""

from __future__ import annotations

from simulator.baselines import serving

# The kinds of experiments, which register when they are imported.
__all__ = ["serving"]
