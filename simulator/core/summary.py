"""One activity for a whole plan."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.core.activity import Activity
from simulator.core.closed_form import closed_form
from simulator.core.plan import Plan
from simulator.core.resource import Quantity, Resource


def paced(name: str, seconds: float, demand: Mapping[Resource, Quantity] | None = None) -> Activity:
    """An activity that takes `seconds` alone, whatever else it demands: its pace is a resource of its own."""
    pace = Resource(f"{name} (pace)", 1.0, unit="s", energy=0.0)
    return Activity(name, {pace: seconds, **(demand or {})})


def summary(plan: Plan, name: str | None = None) -> Activity:
    """A plan as one activity: its closed-form time, and its total demands spread evenly over it.

    Exact alone (where the closed form is); where it meets others, the plan's own peaks and troughs are smoothed.
    """
    return paced(name or plan.name, float(closed_form(plan).time), plan.demand())
