"""How far simulated values lie from measured ones: over all rows, by group, and as a calibration has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.mapping.gpu.calibration import Errors

if TYPE_CHECKING:
    import pandas as pd


def errors(rows: pd.DataFrame, simulated: str = "simulated") -> dict[str, float]:
    """The errors of rows with `measured` values: how many `rows`, and shares of the measured value.

    With `e = (simulated - measured) / measured`: `mape`, `median_ape` and `p90_ape` are the mean, the median and the
    90th percentile of `|e|`; `bias` is the mean of `e`, above 0 where the program is too slow; `ratio` the median of
    `simulated / measured`.
    """
    return errors_of(rows[simulated] / rows["measured"])


def errors_of(ratio: pd.Series) -> dict[str, float]:
    """The errors of ratios of simulated over measured values, those that are missing left out."""
    ratio = ratio.dropna()
    away = (ratio - 1).abs()
    return {
        "rows": len(ratio),
        "mape": float(away.mean()),
        "median_ape": float(away.median()),
        "p90_ape": float(away.quantile(0.9)),
        "bias": float((ratio - 1).mean()),
        "ratio": float(ratio.median()),
    }


def errors_between(modelled: Any, measured: Any) -> Errors:
    """The errors of modelled values as a calibration has them; its bias is the logarithm of the median ratio."""
    import pandas as pd

    of = errors_of(pd.Series(np.asarray(modelled / measured)))
    return Errors(
        rows=int(of["rows"]),
        median=of["median_ape"],
        mean=of["mape"],
        p90=of["p90_ape"],
        bias=float(np.log(of["ratio"])),
    )


def by_group(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The errors of the rows that agree in one column, column after column: `group`, `value`, those of `errors`.

    `plain_median_ape` is that of the plain roofline on the same rows.
    """
    import pandas as pd

    table: list[dict[str, Any]] = []
    for column in columns:
        for value, group in rows.groupby(column, sort=True):
            yardstick = errors(group, "plain")["median_ape"]
            name = f"{value:g}" if isinstance(value, float) else str(value)
            table.append({"group": column, "value": name, **errors(group), "plain_median_ape": yardstick})
    return pd.DataFrame(table, columns=["group", "value", *errors(rows), "plain_median_ape"])
