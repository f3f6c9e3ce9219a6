"""What the machine of a point takes of silicon, money and power."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from simulator.hardware.cost import Costs, area, load_costs, peak_power, price
from simulator.mapping.deployment import Deployment

METRICS = {"area_m2": "m^2", "price_usd": "USD", "peak_power_w": "W"}


def taken(deployment: Deployment, said: Mapping[str, Any], points: int = 1) -> dict[str, Any]:
    """The die area of a device, the price and the peak power of the machine, by the table `costs`; NaN without one.

    Engines are as large as what computes in `mapping.dtype` makes them, where a point says one; else as the largest.
    """
    table = said.get("costs")
    if table is None:
        return dict.fromkeys(METRICS, np.full(points, np.nan))
    system, costs = deployment.system, _table(table)
    dtype = deployment.model.dtypes.products if said.get("mapping.dtype") else None
    idle = system.machine.static_power
    watts: Any = np.nan if idle is None else idle * system.machine.nodes
    for name in system.machine.devices:
        one = peak_power(system, name).total
        watts = watts + (np.nan if one is None else one * system.count(name))
    return {
        "area_m2": area(system, costs, dtype=dtype).total,
        "price_usd": price(system, costs, dtype).total,
        "peak_power_w": watts,
    }


@lru_cache(maxsize=16)
def _table(name: str) -> Costs:
    return load_costs(name)
