"""What a `flash` experiment gave: points, throughputs, shares and sweeps, and the metrics that may be published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError, nearest, one_of

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("points", "energy", "throughput", "usage", "sweeps")
METRICS = {
    **{name: ("points", f"{name}_s") for name in ("io", "memory", "compute", "total")},
    **{name: ("points", f"{name}_bytes") for name in ("dram", "asked", "read")},
    **{
        name: ("points", name)
        for name in ("io_share", "tokens_per_s", "dram_share", "held_share", "missed_share", "predictor_share")
    },
    "bandwidth": ("throughput", "bandwidth"),
    "share": ("usage", "trace"),
    "increment": ("usage", "trace_increment"),
}
"""Each metric with the table that it stands in, and its column there."""


@dataclass(frozen=True)
class FlashOutcome:
    """Rows of each table, and the configs behind them."""

    points: list[dict[str, Any]]
    energy: list[dict[str, Any]]
    throughput: list[dict[str, Any]]
    usage: list[dict[str, Any]]
    sweeps: list[dict[str, Any]]
    inputs: dict[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {name: pd.DataFrame(rows) for name in TABLES if (rows := getattr(self, name))}

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float | None:
        """A metric by name, under a condition that only one row meets.

        Of a `system`, `model` and `method`, means of a token: `io`, `memory`, `compute`, `total` (s), `dram` (B held),
        `asked` and `read` (B from flash), `io_share` of the total, `tokens_per_s`; shares of the model, `dram_share`
        that DRAM holds and `predictor_share`; shares of the FFN, `held_share` and `missed_share` that a token loads;
        `speedup`, the total of the method `baseline` over that of the method. At a `chunk` (B) and `threads`:
        `bandwidth` (B/s). Of a `model`, at a `window`: the `share` of neurons that so many tokens use, and the
        `increment` to one more.
        """
        if metric == "speedup":
            mine = {key: value for key, value in condition.items() if key != "baseline"}
            base, total = (self._only("points", {**mine, **each}, "total_s") for each in (_baseline(condition), {}))
            return None if base is None or total is None else base / total
        if metric not in METRICS:
            known = [*METRICS, "speedup"]
            raise ConfigError("no such metric", found=metric, expected=one_of(known), nearest=nearest(metric, known))
        table, column = METRICS[metric]
        return self._only(table, condition, column)

    def _only(self, table: str, condition: Mapping[str, Any], column: str) -> float | None:
        rows: Sequence[dict[str, Any]] = getattr(self, table)
        found = [row for row in rows if condition.items() <= row.items()]
        if len(found) != 1:
            raise ConfigError(
                f"no such point in the table {table} of the experiment",
                found=dict(condition),
                expected=f"a condition that one row meets, not {len(found)}",
            )
        value = float(found[0][column])
        return None if isnan(value) else value


def _baseline(condition: Mapping[str, Any]) -> dict[str, Any]:
    if "baseline" not in condition:
        raise ConfigError("speedup", path="baseline", found="nothing", expected="the method to compare with")
    return {"method": condition["baseline"]}
