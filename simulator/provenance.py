"""What a result was made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from simulator import __version__


@dataclass(frozen=True)
class Provenance:
    """The resolved configs, their hash, the released version and the seed: equal ones give equal results.

    How a run was executed (workers, paths, dates) has no place here.
    """

    config: dict[str, Any]
    seed: int | None = None
    version: str = __version__

    @property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of the configs as canonical JSON."""
        text = json.dumps(self.config, sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        return {"config_hash": self.hash, "version": self.version, "seed": self.seed}
