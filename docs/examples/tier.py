"""A kind of memory: flash on the interposer, read in pages as flash is, at the bandwidth of a stack."""

from __future__ import annotations

from simulator.plugin import TierKind, register

register("tier", "hbf")(TierKind(pages=True))
