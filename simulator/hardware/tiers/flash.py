"""Flash, which is read in pages of its dies, over channels."""

from __future__ import annotations

from simulator.hardware.tier_kind import TierKind
from simulator.registry import register

register("tier", "flash")(TierKind(pages=True))
