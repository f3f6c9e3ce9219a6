"""DRAM: on an interposer beside the die, as modules, of the host, behind a CXL link."""

from __future__ import annotations

from simulator.hardware.tier_kind import TierKind
from simulator.registry import register

for name in ("hbm", "gddr", "ddr", "lpddr", "host", "cxl"):
    register("tier", name)(TierKind())
