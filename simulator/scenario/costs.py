"""What the machine of a scenario takes of silicon, money and power."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.files import remembered
from simulator.hardware import System
from simulator.hardware.cost import Costs, area, load_costs, peak_power, price
from simulator.mapping.target import computed_in
from simulator.scenario.form import Scenario
from simulator.scenario.metric import Metric
from simulator.scenario.parts import at_key
from simulator.workload import Model

METRICS = (
    Metric("area_m2", "m^2", "min", "die area", per="device"),
    Metric("price_usd", "USD", "min", "price of the machine"),
    Metric("peak_power_w", "W", "min", "peak power of the machine"),
)
NAMES = tuple(metric.name for metric in METRICS)


def costs_of(scenario: Scenario, system: System, model: Model) -> dict[str, Any]:
    """The die area of a device, the price and the peak power of the machine, by the scenario's table; NaN without one.

    Engines are as large as what computes the products of the model makes them, where the mapping has a dtype; else as
    the largest.
    """
    if scenario.costs is None:
        return dict.fromkeys(NAMES, np.nan)
    with at_key("costs"):
        table = _table(scenario.costs)
    rates = {known: rate for engine in system.engines.values() for known, rate in engine.peak.items()}
    products = model.dtypes.products
    dtype = (computed_in(rates, products) or products) if scenario.mapping.dtype else None
    idle = system.machine.static_power
    watts: Any = np.nan if idle is None else idle * system.machine.nodes
    for name in system.machine.devices:
        one = peak_power(system, name).total
        watts = watts + (np.nan if one is None else one * system.count(name))
    return {
        "area_m2": area(system, table, dtype=dtype).total,
        "price_usd": price(system, table, dtype).total,
        "peak_power_w": watts,
    }


def life(scenario: Scenario) -> float:
    """Seconds over which the scenario's table writes a machine off; NaN where it does not say."""
    known = None if scenario.costs is None else _table(scenario.costs).table.life
    return np.nan if known is None else known


@remembered(16)
def _table(name: str) -> Costs:
    return load_costs(name)
