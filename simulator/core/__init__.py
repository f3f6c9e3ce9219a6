"""When is the work done? Resources, activities and plans, and the two ways to time them."""

from __future__ import annotations

from simulator.core.activity import Activity, add, launched, paced
from simulator.core.closed_form import Timing, closed_form
from simulator.core.plan import Plan, Step
from simulator.core.resource import Curve, Quantity, Resource

__all__ = [
    "Activity", "Curve", "Plan", "Quantity", "Resource", "Step", "Timing", "add", "closed_form", "launched", "paced",
]  # fmt: skip
