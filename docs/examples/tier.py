"""A kind of memory: flash behind a CXL link, read in pages as flash is."""

from __future__ import annotations

from simulator.plugin import TierKind, register

register("tier", "cxl_flash")(TierKind(pages=True))
