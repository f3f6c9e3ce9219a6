"""What of the time and energy of a closed loop its experts and its attention take."""

from __future__ import annotations

from itertools import chain
from math import nan

import numpy as np

from simulator.core.account import energy, joules
from simulator.serving.closed_loop import Timed
from simulator.serving.stage_demand import demand_by_kind
from simulator.serving.stages import ATTENTION, EXPERTS

SAMPLE = 256
"""Stages of either sort that are looked at."""


def time_shares(timed: Timed) -> dict[str, float]:
    """Shares of experts and of attention in the time of decoding-only and of mixed stages; NaN where there are none."""
    shares: dict[str, float] = {}
    for name, mixed in (("decoding", False), ("mixed", True)):
        at = np.flatnonzero(timed.layout.mixed == mixed)[:SAMPLE]
        whole = float(timed.seconds[at].sum())
        parts = timed.stages.parts(timed.features[at], mixed) if at.size else {}
        attention, lowered = (float(np.sum(parts.get(what, 0.0))) for what in (ATTENTION, EXPERTS))
        shares[f"{name}_share_experts"] = (float(timed.experts[at].sum()) + lowered) / whole if at.size else nan
        shares[f"{name}_share_attention"] = attention / whole if at.size else nan
    return shares


def dynamic_energy(timed: Timed) -> tuple[float | None, float | None]:
    """Joules of all stages, and of their experts and attention alone; None where the machine lacks a figure."""
    groups = timed.stages.deployment.parallel.context
    terms = {kind: energy(demand, groups) for kind, demand in demand_by_kind(timed).items()}
    total = joules(chain.from_iterable(terms.values()))
    of_memory = joules(term for kind in (EXPERTS, ATTENTION) for term in terms.get(kind, ()))
    return tuple(None if each is None else float(each) for each in (total, of_memory))  # type: ignore[return-value]
