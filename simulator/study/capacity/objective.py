"""Objectives of a service (SLO): bounds on metrics of its requests, as a text has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.errors import ConfigError, unknown
from simulator.scenario.evaluators.requests import ENERGIES, SHARES, SPENT, RequestsEvaluator
from simulator.units import parse, show

APART = SPENT | SHARES | ENERGIES | {"admitted", "utilisation", "mixed_share"}
"""What a run tells afterwards, or under the scheduler of a scenario alone."""
_BOUND = re.compile(r"\s*(\w+)\s*(<=?|>=?)\s*(.+?)\s*")


@dataclass(frozen=True)
class Objective:
    """A bound on a metric, in its unit: at most so much, or at least."""

    metric: str
    at_most: bool
    bound: float
    unit: str

    def holds(self, metrics: Mapping[str, Any]) -> bool:
        """Whether metrics keep it; one that is not known does not."""
        value = metrics.get(self.metric, float("nan"))
        return bool(value <= self.bound if self.at_most else value >= self.bound)

    def __str__(self) -> str:
        return f"{self.metric} {'<=' if self.at_most else '>='} {show(self.bound, self.unit)}"


def objectives(text: str, path: str = "slo") -> tuple[Objective, ...]:
    """Bounds from a text as `ttft_p99<2 s,tbt_p99<50 ms`; a metric's name may lack its unit.

    Raises:
        ConfigError: no bound, a metric that requests have not, with the nearest name; a value in another unit.
    """
    units = {each.name: each.unit for each in RequestsEvaluator.metrics if not each.is_text and each.name not in APART}
    known = {name if name.endswith("_per_s") else name.removesuffix("_s"): name for name in units}
    bounds = []
    for part in text.split(","):
        match = _BOUND.fullmatch(part)
        if match is None:
            raise ConfigError(path=path, found=f"'{part.strip()}'", expected="bounds as `ttft_p99<2 s,tbt_p99<50 ms`")
        name, sign, value = match.groups()
        name = known.get(name, name)
        if name not in units:
            raise unknown(name, known, "no metric of requests", path=path)
        unit = units[name]
        number = parse(float(value) if _is_number(value) else value, unit)
        bounds.append(Objective(name, sign.startswith("<"), number, unit))
    return tuple(bounds)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
