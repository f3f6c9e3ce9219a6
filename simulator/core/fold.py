"""The one recursion over the order of a plan, in any algebra in which what work takes is added, repeated and compared.

The closed form folds seconds, the affine form rows of points, and the elasticity seconds with their derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from simulator.core.activity import Activity
from simulator.core.plan import Plan
from simulator.core.resource import Resource


class Duration(Protocol):
    """What work takes: seconds, or anything that adds up and repeats as they do."""

    def __add__(self, other: Any, /) -> Any: ...

    def __mul__(self, repeat: Any, /) -> Any: ...


T = TypeVar("T", bound=Duration)


def nothing(plan: Plan) -> Iterable[Any]:
    """No bound beside the longest path."""
    return ()


def fold(
    plan: Plan,
    leaf: Callable[[Activity], T],
    largest: Callable[[Sequence[T]], T],
    beside: Callable[[Plan], Iterable[T]] = nothing,
) -> T:
    """What a plan takes: its longest path, `end_i = max_j end_j + repeat_i x once_i` over the steps j before step i.

    `leaf` is what an activity takes, `largest` the maximum of several, and of none what nothing takes. A plan, and each
    smaller plan in it, takes no less than what is `beside` its path.
    """
    ends: list[T] = []
    for work, after, repeat in plan.steps:
        once = fold(work, leaf, largest, beside) if isinstance(work, Plan) else leaf(work)
        repeated = once * repeat if repeat > 1 else once
        ends.append(repeated + largest([ends[i] for i in after]) if after else repeated)
    return largest([*ends, *beside(plan)])


def largest(seconds: Sequence[Any]) -> Any:
    """The maximum of numbers and arrays, 0 of none; numbers are gathered before any array is touched."""
    scalar = max((s for s in seconds if not isinstance(s, np.ndarray)), default=0.0)
    arrays = [s for s in seconds if isinstance(s, np.ndarray)]
    if not arrays:
        return scalar
    most = np.maximum(arrays[0], scalar) if scalar > 0 else arrays[0]
    for array in arrays[1:]:
        most = np.maximum(most, array)
    return most


def contended(plan: Plan) -> set[int]:
    """The plan, and smaller plans in it, by `id`, in which steps that may run at once meet on a resource."""
    inside = (contended(step.work) for step in plan.steps if isinstance(step.work, Plan))
    return set().union(*inside, () if _is_ordered(plan) else (id(plan),))


def is_exact(plan: Plan) -> bool:
    """Whether the longest path is all that a plan takes: steps that may run at once share nothing."""
    return not contended(plan)


def _is_ordered(plan: Plan) -> bool:
    """Whether no two steps of a plan that may run at once use the same resource.

    Steps stand in topological order, so the users of a resource are all ordered if each comes before the next one.
    """
    before: list[int] = []  # bit i of before[j]: step i ends before step j starts
    last_user: dict[Resource, int] = {}
    for index, (work, after, _) in enumerate(plan.steps):
        mask = 0
        for i in after:
            mask |= before[i] | 1 << i
        before.append(mask)
        for resource in _used(work):
            previous = last_user.get(resource)
            if previous is not None and not mask >> previous & 1:
                return False
            last_user[resource] = index
    return True


def _used(work: Activity | Plan) -> Collection[Resource]:
    """The resources that work demands anything of."""
    return {r for a, _ in work.activities() for r in a.demand} if isinstance(work, Plan) else work.demand
