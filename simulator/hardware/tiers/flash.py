"""Flash, which is read in pages of its dies: over channels, or stacked beside a die (high-bandwidth flash)."""

from __future__ import annotations

from simulator.hardware.tier_kind import TierKind
from simulator.registry import register

for name in ("flash", "hbf"):
    register("tier", name)(TierKind(pages=True))
