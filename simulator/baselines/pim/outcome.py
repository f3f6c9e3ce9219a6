"""What a `pim` experiment gave: figures of units, their areas, GEMMs, and the metrics that may be published of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError, nearest, one_of

if TYPE_CHECKING:
    import pandas as pd

METRICS = {
    **{name: ("units", name) for name in ("stack_bandwidth", "bandwidth", "bandwidth_ratio", "peak", "ridge")},
    "area": ("areas", "area_m2"),
    "area_share": ("areas", "share_of_die"),
    "edap": ("points", "edap_over_worst"),
}
"""Each metric with the table that it stands in, and its column there."""


@dataclass(frozen=True)
class PimOutcome:
    """Rows of units, of parts of their areas, and of points (a GEMM on a unit); the configs behind them."""

    units: list[dict[str, Any]]
    areas: list[dict[str, Any]]
    points: list[dict[str, Any]]
    inputs: dict[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {name: pd.DataFrame(getattr(self, name)) for name in ("units", "areas", "points")}

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float:
        """A metric by name, under a condition that only one row meets.

        Of a `unit`, for one stack: `stack_bandwidth` over the bus and `bandwidth` of the unit (B/s), `peak` (FLOP/s);
        their ratios `bandwidth_ratio` and `ridge` (FLOP/B). Of a `part` of it, or `all`: `area` (m^2) and `area_share`
        of the die. At an `op_per_byte`: `edap`, over that of the worst of all units.
        """
        if metric not in METRICS:
            close = nearest(metric, METRICS)
            raise ConfigError("no such metric", found=metric, expected=one_of(METRICS), nearest=close)
        table, column = METRICS[metric]
        return float(_only(getattr(self, table), condition)[column])


def _only(rows: Sequence[dict[str, Any]], condition: Mapping[str, Any]) -> dict[str, Any]:
    found = [row for row in rows if condition.items() <= row.items()]
    if len(found) != 1:
        expected = (
            f"a condition that one row meets, not {len(found)}, of {one_of(dict.fromkeys(r['unit'] for r in rows))}"
        )
        raise ConfigError("no such point in the experiment", found=dict(condition), expected=expected)
    return found[0]
