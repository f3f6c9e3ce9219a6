"""Where the time of a plan goes."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.core.activity import Activity
from simulator.core.plan import Plan
from simulator.core.resource import Resource

LATENCY = "latency"


@dataclass(frozen=True)
class Part:
    """An activity in a plan: it runs `times` times, `time` seconds each; `bound_by` is None for latency alone."""

    activity: Activity
    times: int
    time: float
    bound_by: Resource | None

    @property
    def longest(self) -> str:
        """What takes most of its time: the resource that binds it, or `latency`."""
        latency = float(self.activity.latency)
        return self.bound_by.name if self.bound_by and self.time - latency >= latency else LATENCY


def breakdown(plan: Plan) -> list[Part]:
    """Each activity with the resource that binds it: the one with the most busy seconds.

    For scalar plans; steps that run at once are listed one by one, so that the parts may add up to more than the plan.
    """
    parts = []
    for activity, times in plan.activities():
        busy = activity.seconds()
        bound_by = max(busy, key=lambda resource: float(busy[resource]), default=None)
        parts.append(Part(activity, times, float(activity.latency) + activity.alone, bound_by))
    return parts


def binding(plan: Plan) -> dict[str, float]:
    """Seconds during which each resource binds, and of latency; the longest first."""
    seconds: dict[str, float] = {}
    for part in breakdown(plan):
        latency = float(part.activity.latency)
        for name, time in ((part.bound_by.name if part.bound_by else LATENCY, part.time - latency), (LATENCY, latency)):
            seconds[name] = seconds.get(name, 0.0) + time * part.times
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))
