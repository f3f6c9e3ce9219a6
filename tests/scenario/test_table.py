from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.scenario.metric import Metric
from simulator.scenario.table import Table

POSITIVE = st.floats(1e-3, 1e3)
METRICS = {
    "time_s": Metric("time_s", "s", "min"),
    "keeps_up": Metric("keeps_up", "1"),
    "why": Metric("why"),
}


def table(rows: list[dict[str, Any]], keys: list[str]) -> Table:
    return Table(pd.DataFrame(rows), keys, METRICS, Provenance({}))


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=6))
@example([(155.0, 327.0)] * 3)
def test_a_ratio_is_over_the_case_that_differs_in_the_given_keys_alone(times: list[tuple[float, float]]) -> None:
    rows = [
        {"system": system, "batch": batch, "time_s": time}
        for batch, pair in enumerate(times)
        for system, time in zip(("old", "new"), pair, strict=True)
    ]
    speedups = table(rows, ["system", "batch"]).ratio("time_s", {"system": "old"}, inverse=True)
    for batch, (old, new) in enumerate(times):
        assert speedups.at("ratio", system="new", batch=batch) == pytest.approx(old / new)
        assert speedups.at("ratio", system="old", batch=batch) == 1.0
    of_new = speedups.select(system="new")
    assert of_new.take("ratio", "min") <= of_new.take("ratio", "mean") <= of_new.take("ratio", "max")  # type: ignore[operator]


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_the_last_of_those_that_keep_up_comes_before_the_first_that_does_not(keeps: list[bool]) -> None:
    rows = [{"rate": float(i), "time_s": 1.0, "keeps_up": float(k)} for i, k in enumerate(keeps)]
    up_to = table(rows, ["rate"]).while_("keeps_up", "rate")
    expected = next((i for i, k in enumerate(keeps) if not k), len(keeps)) - 1
    assert up_to.take("rate", "last") == (float(expected) if expected >= 0 else None)


def test_normalised_by_a_key_each_group_is_over_its_own_case() -> None:
    rows = [
        {"model": m, "batch": b, "time_s": t}
        for m, b, t in (("a", 1, 2.0), ("a", 2, 6.0), ("b", 1, 5.0), ("b", 2, 5.0))
    ]
    over = table(rows, ["model", "batch"]).normalise("time_s", {"batch": 1}, ["model"])
    assert over.frame["time_s"].tolist() == [1.0, 3.0, 1.0, 1.0]
    assert over.metrics["time_s"].unit == "1"


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"sistem": "old"}, "no such key: found 'sistem', expected one of system, batch; did you mean 'system'?"),
        ({"system": "olde"}, "system: no case has it: found 'olde', expected one of old, new; did you mean 'old'?"),
        ({"system": "old"}, "no such case: .*2 have these"),
    ],
)
def test_what_no_case_has_is_told_with_the_nearest(wanted: dict[str, Any], text: str) -> None:
    rows = [{"system": s, "batch": b, "time_s": 1.0} for s in ("old", "new") for b in (1, 2)]
    with pytest.raises(ConfigError, match=text):
        table(rows, ["system", "batch"]).at("time_s", **wanted)
    with pytest.raises(ConfigError, match="no such metric"):
        table(rows, ["system", "batch"]).at("why", system="old", batch=1)


@given(st.lists(st.tuples(POSITIVE, POSITIVE, POSITIVE), min_size=1, max_size=3))
@settings(max_examples=10)
def test_a_metric_over_an_extreme_is_at_most_or_at_least_one(times: list[tuple[float, ...]]) -> None:
    rows = [
        {"system": system, "batch": batch, "time_s": time}
        for batch, some in enumerate(times)
        for system, time in enumerate(some)
    ]
    of = table(rows, ["system", "batch"])
    for batch, some in enumerate(times):
        for which, extreme in (("max", max(some)), ("min", min(some))):
            over = of.normalise("time_s", which, ("batch",))
            assert [over.at("time_s", system=n, batch=batch) for n in range(3)] == [time / extreme for time in some]
    whole = of.normalise("time_s", "max")
    assert whole.take("time_s", "max") == 1.0
