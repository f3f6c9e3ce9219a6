"""What a `coe` experiment gave: its points, and the metrics that a paper may print of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError, nearest, one_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CoeOutcome:
    """Rows of points and of node counts, and the metrics that a paper may print of them; the configs behind them."""

    points: list[dict[str, Any]]
    nodes: list[dict[str, Any]]
    inputs: dict[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {"points": pd.DataFrame(self.points), "nodes": pd.DataFrame(self.nodes)}

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float | None:
        """A metric by name; conditions are `system`, `batch`, `tokens`, `experts`, `nodes` and `baseline`.

        `latency`, `switching`, `execution` (router and expert), seconds a batch; `switch_time`, seconds an expert;
        `last_fit`, `first_miss`, numbers of experts of the grid; `out_of_memory`, 1 or 0; `nodes`; `nodes_from`, the
        first number of experts that needs so many nodes; `speedup`, `expert_speedup`, `switch_speedup`, the baseline's
        time over the system's.
        """
        if metric not in _METRICS:
            close = nearest(metric, _METRICS)
            raise ConfigError("no such metric", found=metric, expected=one_of(_METRICS), nearest=close)
        systems = {row["system"] for row in self.points}
        for role in ("system", "baseline"):
            if condition.get(role, next(iter(systems))) not in systems:
                close = nearest(str(condition[role]), systems)
                raise ConfigError(
                    path=role, found=f"'{condition[role]}'", expected=one_of(sorted(systems)), nearest=close
                )
        value = _METRICS[metric](self, dict(condition))
        return None if value is None or np.isnan(value) else float(value)

    @cached_property
    def _by_point(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        return {(p["system"], p["batch"], p["tokens"], p["experts"]): p for p in self.points}

    def point(self, c: Mapping[str, Any]) -> dict[str, Any]:
        """The point of a condition; ConfigError where the experiment does not have it."""
        key = (c.get("system"), c.get("batch"), c.get("tokens"), c.get("experts"))
        if key not in self._by_point:
            raise ConfigError("no such point in the experiment", found=dict(c), expected="one of its grid")
        return self._by_point[key]

    def along(self, c: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The points that are served, over the number of experts, where all else is as in the condition."""
        return [p for p in self.points if all(p[k] == v for k, v in c.items() if k in p) and not p["refused"]]


def _switch_time(outcome: CoeOutcome, c: dict[str, Any]) -> float | None:
    missing = [p for p in outcome.along(c) if p["misses"]]
    return missing[-1]["switch_s"] / missing[-1]["misses"] if missing else None


def _ratio(outcome: CoeOutcome, c: dict[str, Any], field: str) -> float:
    baseline = c.pop("baseline")
    ratio: float = outcome.point(c | {"system": baseline})[field] / outcome.point(c)[field]
    return ratio


def _nodes_from(outcome: CoeOutcome, c: dict[str, Any]) -> float | None:
    rows = (r for r in outcome.nodes if r["system"] == c["system"] and r["nodes"] >= c["nodes"])
    return next((r["experts"] for r in rows), None)


def _nodes(outcome: CoeOutcome, c: dict[str, Any]) -> float | None:
    rows = (r for r in outcome.nodes if r["system"] == c["system"] and r["experts"] == c["experts"])
    return next((r["nodes"] for r in rows), None)


def _switch_speedup(outcome: CoeOutcome, c: dict[str, Any]) -> float:
    theirs, ours = (_switch_time(outcome, {"system": c[who]}) for who in ("baseline", "system"))
    return theirs / ours if theirs and ours else float("nan")


_METRICS: dict[str, Any] = {
    "latency": lambda o, c: o.point(c)["latency_s"],
    "switching": lambda o, c: o.point(c)["switch_s"],
    "execution": lambda o, c: o.point(c)["router_s"] + o.point(c)["expert_s"],
    "switch_time": _switch_time,
    "last_fit": lambda o, c: max((p["experts"] for p in o.along(c) if not p["misses"]), default=None),
    "first_miss": lambda o, c: min((p["experts"] for p in o.along(c) if p["misses"]), default=None),
    "out_of_memory": lambda o, c: float(bool(o.point(c)["refused"])),
    "nodes": _nodes,
    "nodes_from": _nodes_from,
    "speedup": lambda o, c: _ratio(o, c, "latency_s"),
    "expert_speedup": lambda o, c: _ratio(o, c, "expert_s"),
    "switch_speedup": _switch_speedup,
}
