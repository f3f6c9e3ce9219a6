"""What a closed loop costs in energy: the demands of its stages, times the energy of a unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.core import Resource
from simulator.serving.closed_loop import Timed


@dataclass(frozen=True)
class Joules:
    """One term: `amount` units, of all devices together, at `each` J; None where the machine gives no figure.

    `kind` is what was done: `attention`, `links`, `other` or `experts`; `resource` on what.
    """

    kind: str
    resource: str
    amount: float
    each: float | None

    @property
    def joules(self) -> float | None:
        return None if self.each is None else self.amount * self.each


def spent(timed: Timed) -> list[Joules]:
    """Dynamic energy of all stages of a load, `demand x energy a unit`, term by term."""
    found, stages, layout = [], timed.stages, timed.layout
    x = layout.features(stages.deployment.nodes)
    for mixed in (False, True):
        at = layout.mixed == mixed
        for (kind, resource), units in stages.shared_demand(x[at], mixed).items():
            found.append(_term(kind, resource, units * resource.count))
        if mixed not in timed.routed:
            continue
        routed = timed.routed[mixed]
        rounds, rest = divmod(int(at.sum()), len(routed.counts))
        for times, part in ((rounds, slice(None)), (1, slice(rest))):
            if times and part.stop != 0:
                for resource, units in routed.demand(part).items():
                    found.append(_term("experts", resource, times * units))
    return [term for term in found if term.amount]


def total(terms: list[Joules]) -> float | None:
    """Joules of all terms; None where a figure is missing."""
    joules = [term.joules for term in terms]
    return None if None in joules else float(np.sum([j for j in joules if j is not None]))


def _term(kind: str, resource: Resource, amount: float) -> Joules:
    each = None if resource.energy is None else float(np.mean(resource.energy))
    return Joules(kind, resource.name, amount, each)
