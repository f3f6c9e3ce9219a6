"""What a machine takes of silicon, money and power, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.config import KeyPath
from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.hardware.cost import Costs, area, load_costs, peak_power, price
from simulator.hardware.machine import ends
from simulator.provenance import Provenance
from simulator.result import Result

if TYPE_CHECKING:
    import pandas as pd

FIGURES = ("area_m2", "in_memory_m2", "price_usd", "peak_power_w")
"""m^2 of the die, m^2 that units in the memory add to its dies, USD, and W at full rates."""

NODE, ALL = "node", "all"
NAN = float("nan")


@dataclass(frozen=True, eq=False, repr=False)
class Cost(Result):
    """Area, price and peak power of a machine.

    Attributes:
        parts: a row a part of one device of each kind: `device`, `part`, `FIGURES` (NaN where it has none). Tiers
            beside the devices are parts of `node`.
        total: a row a kind of device, of all that there are: `device`, `count`, `FIGURES`; the last one is `all`. NaN
            where a part lacks its figure.
        missing: what is lacking, as key paths or messages.
    """

    system: System
    costs: Costs
    parts: pd.DataFrame
    total: pd.DataFrame
    missing: tuple[str, ...]
    provenance: Provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        return {"parts": self.parts, "total": self.total}

    def as_json(self) -> dict[str, Any]:
        head = {"hardware": self.system.name, "costs": self.costs.table.name, "missing": list(self.missing)}
        return {**head, **super().as_json(), "provenance": self.provenance.as_dict()}

    def sections(self) -> set[KeyPath]:
        """The sections of the cost table that it is made from."""
        return set(_sections(self.system, self.costs))


def cost(
    hardware: System | str | Path,
    costs: Costs | str | Path = "silicon",
    *,
    dtype: str | None = None,
    overrides: Sequence[str] = (),
) -> Cost:
    """Area, price and peak power of a machine by a cost table; `hardware/cost.py` has the equations.

    Engines are as large as the dtype makes them that needs most, or as `dtype` alone does. Peak power is that of
    devices, without links and the rest of the node. `overrides` are `path.to.key=value` of the machine.

    Raises:
        ConfigError: no such machine or table; a device without `process`; what the table lacks of the area of a part.
    """
    import pandas as pd

    system = hardware if isinstance(hardware, System) else load_system(hardware, overrides)
    table = costs if isinstance(costs, Costs) else load_costs(costs)
    counts = {name: system.count(name) for name in system.machine.devices}
    prices, missing = _prices(system, table, dtype)
    lacking = [(device, "price_usd") for device in counts if missing]
    rows: dict[tuple[str, str], dict[str, Any]] = {}

    def add(device: str, figure: str, parts: Mapping[str, Any], copies: int = 1) -> None:
        for part, value in parts.items():
            row = rows.setdefault((device, part), {"device": device, "part": part, **dict.fromkeys(FIGURES, NAN)})
            row[figure] = NAN if value is None else value / copies

    for name, count in counts.items():
        die, power = area(system, table, name, dtype), peak_power(system, name)
        add(name, "area_m2", die.parts)
        add(name, "in_memory_m2", die.in_memory)
        add(name, "price_usd", {part: usd for part, usd in prices.items() if part.startswith(f"{name}.")}, count)
        add(name, "peak_power_w", power.parts)
        missing += power.missing
        lacking += [(name, "peak_power_w")] if power.missing else []
    beside = {part: usd for part, usd in prices.items() if part in system.machine.tiers}
    if beside:
        counts[NODE] = system.machine.nodes
        add(NODE, "price_usd", beside, counts[NODE])
    parts = pd.DataFrame(list(rows.values()))
    total = parts.groupby("device", sort=False)[list(FIGURES)].sum(min_count=1).mul(pd.Series(counts), axis=0)
    total.loc[ALL] = total.sum(min_count=1)
    for device, figure in lacking:
        total.loc[[device, ALL], figure] = NAN
    total = total.loc[[*counts, ALL]].reset_index(names="device")
    total.insert(1, "count", [*counts.values(), 1])
    provenance = Provenance({"hardware": system.config.data, "costs": table.config.data})
    return Cost(system, table, parts, total, tuple(missing), provenance)


def _prices(system: System, costs: Costs, dtype: str | None) -> tuple[Mapping[str, Any], list[str]]:
    """USD by part, of all copies; or nothing, and what it lacks."""
    try:
        return price(system, costs, dtype).parts, []
    except ConfigError as error:
        return {}, [str(error)]


def _sections(system: System, costs: Costs) -> Iterator[KeyPath]:
    yield from (("wafer",), ("fixed",), ("sram_efficiency",), ("package",))
    technologies = [costs.tier(system, name) for name, tier in system.tiers.items() if not tier.on_chip]
    for device in system.machine.devices:
        yield ("processes", costs.process_of(system, device))
    for engine in system.engines.values():
        yield ("compute", engine.kind) if engine.pim is None else ("processes", costs.table.stacks)
    for name in system.machine.links:
        inside = [end.partition(".")[0] in system.machine.devices for end in ends(name)]
        if any(inside):
            technologies.append(costs.link(system, name, "devices" if all(inside) else "node"))
    names = {id(technology): name for name, technology in costs.table.technologies.items()}
    yield from (("technologies", names[id(technology)]) for technology in technologies)
