"""What evaluating scenarios gives: a row a case, of its keys and its metrics, and look-ups in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simulator.config.choose import check_name
from simulator.errors import MOST_NAMED, ConfigError, described, nearest, one_of
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.scenario.metric import Metric

if TYPE_CHECKING:
    import pandas as pd

Take = Literal["max", "min", "mean", "median", "first", "last"]


@dataclass(frozen=True, eq=False, repr=False)
class Table(Result):
    """Cases: the columns that tell them apart, and what was evaluated of each.

    Attributes:
        frame: a row a case: its keys, its metrics, and `error`, empty where it did not fail.
        keys: the columns that tell cases apart.
        metrics: what the other columns are, by name.
        provenance: what they were made from.
        further: tables with more keys, by the name of the further key: `tier`, `node`.
    """

    frame: pd.DataFrame
    keys: Sequence[str]
    metrics: Mapping[str, Metric]
    provenance: Provenance
    further: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def frames(self) -> dict[str, pd.DataFrame]:
        return {"cases": self.frame, **self.further}

    def select(self, **values: Any) -> Table:
        """The cases that have these values of keys or metrics, each a value or a list of some.

        Raises:
            ConfigError: no such key or metric, or a value of a key that no case has.
        """
        if not values:
            return self
        chosen = np.ones(len(self.frame), dtype=np.bool_)
        for key, wanted in values.items():
            some = wanted if isinstance(wanted, list) else [wanted]
            if key not in self.metrics:
                check_name(key, self.keys, message="no such key")
            has = self.frame[key].isin(some).to_numpy()
            if key not in self.metrics and not (len(some) == 1 and has.any()):
                check_values(some, list(self.frame[key].unique()), key)
            chosen &= has
        return replace(self, frame=self.frame[chosen])

    def at(self, metric: str, **values: Any) -> float | None:
        """A metric of the one case that has these values of keys; None where it failed.

        Raises:
            ConfigError: no such metric or key; no case, or several, have these values.
        """
        check_name(metric, self._numbers(), message="no such metric")
        frame = self.select(**values).frame
        if len(frame) != 1:
            expected = f"the values of one case; {len(frame)} have these"
            raise ConfigError("no such case", found=described(dict(values)), expected=expected)
        value = float(frame[metric].iloc[0])
        return None if value != value else value

    def ratio(self, metric: str, over: Mapping[str, Any], inverse: bool = False) -> Table:
        """A metric of each case over that of the case that differs from it in the keys `over` alone.

        The column `ratio` takes the place of the metrics. With `inverse`, the other over each: a speedup of times.
        """
        base = self.select(**over).frame
        others = [key for key in self.keys if key not in over and key in self.frame]
        check_name(metric, self._numbers(), message="no such metric")
        joined = self.frame.merge(base[[*others, metric]], on=others, suffixes=("", "@base"), how="left")
        values = joined[f"{metric}@base"] / joined[metric] if inverse else joined[metric] / joined[f"{metric}@base"]
        frame = self.frame[list(self.keys)].assign(ratio=values.to_numpy())
        of = self.metrics[metric]
        named = Metric("ratio", "1", of.better, f"{of.label or metric} over {' '.join(map(str, over.values()))}")
        return replace(self, frame=frame, metrics={"ratio": named}, further={})

    def normalise(self, metric: str, over: Mapping[str, Any] | Literal["max", "min"], by: Sequence[str] = ()) -> Table:
        """A metric over that of one case for each value of the keys `by`, whatever its others; or over an extreme."""
        for key in by:
            check_name(key, self.keys, message="no such key")
        base = self._extremes(metric, over, by) if isinstance(over, str) else self.select(**over).frame
        if base.duplicated(list(by)).any() if by else len(base) != 1:
            found = f"{len(base)} cases with {described(over)}"
            raise ConfigError("to normalise over", found=found, expected=f"one for each {' and '.join(by) or 'table'}")
        if by:
            joined = self.frame.merge(base[[*by, metric]], on=list(by), suffixes=("", "@base"), how="left")
            values = joined[metric] / joined[f"{metric}@base"]
        else:
            values = self.frame[metric] / base[metric].iloc[0]
        frame = self.frame.assign(**{metric: values.to_numpy()})
        return replace(self, frame=frame, metrics={**self.metrics, metric: replace(self.metrics[metric], unit="1")})

    def _extremes(self, metric: str, which: Literal["max", "min"], by: Sequence[str]) -> pd.DataFrame:
        """The case of which a metric is largest or least, for each value of the keys `by`."""
        check_name(metric, self._numbers(), message="no such metric")
        ordered = self.frame.dropna(subset=[metric]).sort_values(metric, ascending=which == "min", kind="stable")
        return ordered.drop_duplicates(list(by)) if by else ordered.head(1)

    def while_(self, condition: str, along: str) -> Table:
        """The cases up to the first, in the order of a key, for which a metric of yes and no does not hold."""
        check_name(along, self.keys, message="no such key")
        check_name(condition, self._numbers(), message="no such metric")
        ordered = self.frame.sort_values(along, kind="stable")
        others = [key for key in self.keys if key != along]
        holds = ordered[condition] == 1
        grouped = holds.groupby([ordered[key] for key in others], sort=False, dropna=False) if others else None
        up_to = grouped.cummin() if grouped is not None else holds.cummin()
        return replace(self, frame=ordered[up_to.astype(bool)])

    def take(self, column: str, how: Take) -> float | None:
        """One number of the cases: the largest, least, mean or median, or that of the first or last; None of none."""
        values = self.frame[column].dropna()
        if not len(values):
            return None
        if how in ("first", "last"):
            return float(values.iloc[0 if how == "first" else -1])
        return float(min(max(getattr(values, how)(), values.min()), values.max()))  # a mean may round past both

    def _numbers(self) -> list[str]:
        keys = [key for key in self.keys if key in self.frame and self.frame[key].dtype.kind in "if"]
        return [*(name for name, metric in self.metrics.items() if not metric.is_text), *keys]


def check_values(wanted: Sequence[Any], known: Sequence[Any], path: str | Sequence[str | int]) -> None:
    """Nothing where cases have each of these values; else a ConfigError, with the nearest."""
    for value in wanted:
        if value not in known:
            close = nearest(str(value), [each for each in known if isinstance(each, str)])
            expected = one_of(map(str, known[:MOST_NAMED]))
            raise ConfigError("no case has it", path=path, found=described(value), expected=expected, nearest=close)
