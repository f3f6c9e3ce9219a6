"""How activities that meet on a resource slow one another down: max-min fair speeds."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from operator import attrgetter
from typing import Any, Protocol, TypeVar

TINY = 1e-12  # a load this close to the capacity does not exceed it; a slope this small cannot fill it


R = TypeVar("R", bound=Hashable)
C = TypeVar("C", bound=Hashable, covariant=True)


class Sharer(Hashable, Protocol[C]):
    """An activity as sharing sees it: its share of a resource is what it takes of it at speed 1, in (0, 1]."""

    @property
    def weight(self) -> float: ...

    @property
    def shares(self) -> tuple[tuple[C, float], ...]: ...


S = TypeVar("S", bound=Sharer[Any])


def speeds(activities: Collection[S], users: Mapping[R, Mapping[S, float]]) -> dict[S, float]:
    """The speed of each activity, as a fraction of the one that it has alone: weighted max-min fair.

    `users[r]` maps each activity on resource r to `share * weight`. The speeds solve, by progressive filling: raise
    all `speed_i = min(1, weight_i * level)` together; when a resource is full, freeze those that use it; go on with
    the rest. Then `sum_i speed_i share_ir <= 1` on every resource, and each activity runs at speed 1 or is held by a
    full resource on which no other has a larger `speed / weight`.

    Raises:
        KeyError: an activity uses a resource that `users` lacks.
    """
    # Of each resource: the room that is left, and the load that a unit of the level adds.
    state = {resource: [1.0, sum(pulls.values())] for resource, pulls in users.items()}
    frozen: dict[S, float] = {}
    heaviest = max(map(attrgetter("weight"), activities), default=1.0)
    level = 0.0
    while len(frozen) < len(activities):
        next_level = float("inf")
        for resource, (room, slope) in state.items():
            if slope > TINY and room < next_level * slope:
                full, next_level = resource, room / slope
        if next_level > level:  # rounding must not lower it
            level = next_level
        freed = heaviest * level >= 1.0 - TINY and [
            a for a in activities if a.weight * level >= 1.0 - TINY and a not in frozen
        ]
        for activity in freed or users[full]:
            if activity not in frozen:
                rise = activity.weight
                speed = frozen[activity] = 1.0 if freed else rise * level
                for resource, share in activity.shares:
                    left = state[resource]
                    left[0] -= share * speed
                    left[1] -= share * rise
        if not freed:
            state[full][1] = 0.0
    return frozen
