"""The cache of a CPU, which is on the die."""

from __future__ import annotations

from simulator.hardware.tier_kind import TierKind
from simulator.registry import register

register("tier", "cache")(TierKind(on_chip=True))
