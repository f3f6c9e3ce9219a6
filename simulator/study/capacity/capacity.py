"""The most that a service carries while it keeps its objectives: a rate, the fewest replicas, the best ratio.

Every trial serves the same requests (lengths, prefixes, sessions), only closer together or further apart, so that two
trials differ in what is asked and in nothing that is drawn: common random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.scenario.cases import with_values
from simulator.scenario.evaluate import located, read_scenario
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.scenario.requests.program import rate_of, served
from simulator.study.capacity.objective import Objective, objectives

if TYPE_CHECKING:
    import pandas as pd

Question = Literal["rate", "replicas", "ratio"]
FAR = 1024.0
"""A rate so many times lower than where a search begins is one of requests that are served alone."""
MOST_RATE, MOST_REPLICAS = 2.0**20, 4096


@dataclass(frozen=True, eq=False, repr=False)
class Capacity(Result):
    """What a service carries.

    Attributes:
        objectives: what it keeps.
        rate: requests a second at which it does.
        fails_at: the lowest rate above it that was tried, at which it does not; the answer is known to that. NaN where
            the question was no rate.
        replicas, prompts: of the service; those that compute prompts alone, 0 where all do both.
        devices: of all of them.
        points: a row a trial: `rate_per_s`, `replicas`, `prompts`, `holds`, the metrics of the objectives, `keeps_up`.
    """

    objectives: tuple[Objective, ...]
    rate: float
    fails_at: float
    replicas: int
    prompts: int
    devices: int
    points: pd.DataFrame
    provenance: Provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {"capacity": pd.DataFrame([self._answer()]), "trials": self.points}

    def _answer(self) -> dict[str, Any]:
        return {
            "objectives": ", ".join(map(str, self.objectives)),
            "rate_per_s": self.rate,
            "fails_at_per_s": self.fails_at,
            "replicas": self.replicas,
            "prompts": self.prompts,
            "devices": self.devices,
        }

    def as_json(self) -> dict[str, Any]:
        return {**self._answer(), "trials": self.points.to_dict("records")}


def capacity(
    scenario: Scenario | Mapping[str, Any] | str | Path,
    slo: str,
    of: Question = "rate",
    rate: float | None = None,
    machines: int | None = None,
    tolerance: float = 0.02,
    overrides: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> Capacity:
    """The highest rate at which requests of a scenario keep an objective (`slo`: `ttft_p99<2 s,tbt_p99<50 ms`).

    `of`: `rate`, the highest one, by bisection until the lowest that fails is within `tolerance` of it; `replicas`, the
    fewest for a `rate`, exactly; `ratio`, of so many `machines` those that compute prompts alone, so that the rate is
    highest (a split counts as better where it carries more by `tolerance`). A service whose queue grows keeps nothing.

    Raises:
        TiersimError: what is wrong with the scenario or the objective; requests that arrive all at once; a service that
            keeps it at no rate, or at every one.
    """
    if not 0 < tolerance < 1:
        raise ConfigError(path="tolerance", found=tolerance, expected="above 0 and below 1")
    with located(scenario):
        form = read_scenario(scenario, overrides)
        if form.workload.kind != "requests" or getattr(form.workload, "loop", "") != "open":
            found = f"'{form.workload.kind}'" if form.workload.kind != "requests" else "a closed loop"
            raise ConfigError(path=("workload",), found=found, expected="requests that arrive, of an open loop")
        trials = _Trials(form, objectives(slo), rate_of(form), progress)
        replicas, prompts = form.mapping.scheduler.replicas, form.mapping.scheduler.prompts or 0
        fails_at = float("nan")
        if of == "rate":
            rate, fails_at = trials.highest(replicas, prompts, rate or trials.base, tolerance)
        elif of == "replicas":
            rate = rate or trials.base
            replicas = trials.fewest(rate, prompts)
        else:
            rate, fails_at, replicas, prompts = trials.best(machines or 0, rate or trials.base, tolerance)
        placed = deployment(form, requests=True)
    devices = (replicas * placed.nodes + prompts) * placed.low.ways
    made_from = Provenance({"scenario": form.written(), "slo": slo, "of": of, "tolerance": tolerance})
    return Capacity(trials.objectives, rate, fails_at, replicas, prompts, devices, trials.frame(), made_from)


@dataclass
class _Trials:
    """Runs of a scenario's requests at other rates and on other machines, each one once."""

    scenario: Scenario
    objectives: tuple[Objective, ...]
    base: float
    progress: Callable[[str], None] | None
    rows: dict[tuple[float, int, int], dict[str, Any]] = field(default_factory=dict)

    def holds(self, rate: float, replicas: int, prompts: int) -> bool:
        """Whether so many replicas keep the objectives at a rate."""
        key = (rate, replicas, prompts)
        if key not in self.rows:
            if self.progress is not None:
                self.progress(f"{rate:.4g} requests a second on {replicas + prompts} replicas")
            values = {"mapping.scheduler.replicas": replicas, "mapping.scheduler.prompts": prompts or None}
            drawn = getattr(self.scenario.workload, "trace", None) is None
            case = with_values(self.scenario, values | ({"workload.rate": rate} if drawn else {}))
            made, _ = served(case, speed=1.0 if drawn else rate / self.base)
            if made.partial:
                raise KeyboardInterrupt
            metrics = made.metrics()
            keeps = metrics["keeps_up"] != 0 and all(each.holds(metrics) for each in self.objectives)
            values_of = {each.metric: metrics.get(each.metric) for each in self.objectives}
            place = {"rate_per_s": rate, "replicas": replicas, "prompts": prompts, "holds": keeps}
            self.rows[key] = {**place, **values_of, "keeps_up": metrics["keeps_up"]}
        return bool(self.rows[key]["holds"])

    def highest(self, replicas: int, prompts: int, start: float, tolerance: float) -> tuple[float, float]:
        """The highest rate that holds and the lowest that does not, no further apart than the tolerance."""
        low, high = start, start
        while self.holds(high, replicas, prompts):
            low, high = high, 2 * high
            if high > MOST_RATE * start:
                found = f"objectives that hold at {low:.3g} requests a second"
                raise ConfigError("no rate is too high", found=found, expected="more requests, or stricter objectives")
        halvings = 0
        while low == high or not self.holds(low, replicas, prompts):
            high = low
            low /= 2 if halvings < 3 else FAR
            halvings += 1
            if halvings > 5:
                row = self.rows[high, replicas, prompts]
                found = ", ".join(f"{each.metric} {row[each.metric]:.4g}" for each in self.objectives)
                expected = ", ".join(map(str, self.objectives))
                raise ConfigError(
                    "no rate keeps the objectives, not even one request alone", found=found, expected=expected
                )
        while high > low * (1 + tolerance):
            middle = sqrt(low * high)
            low, high = (middle, high) if self.holds(middle, replicas, prompts) else (low, middle)
        return low, high

    def fewest(self, rate: float, prompts: int) -> int:
        """The fewest replicas that hold at a rate."""
        low, high = 0, 1
        while not self.holds(rate, high, prompts):
            low, high = high, 2 * high
            if high > MOST_REPLICAS:
                found = f"{low:,} replicas that do not keep the objectives at {rate:.4g} requests a second"
                raise ConfigError("too few", path="replicas", found=found, expected="objectives that one request keeps")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.holds(rate, middle, prompts) else (middle, high)
        return high

    def best(self, machines: int, start: float, tolerance: float) -> tuple[float, float, int, int]:
        """The split of machines that carries the highest rate: it, what fails, those that decode, and for prompts.

        One is searched further only where it carries more than the best so far by the tolerance.
        """
        if machines < 2:
            raise ConfigError(path="machines", found=machines, expected="2 or more, of both kinds")
        best = (0.0, 0.0, machines, 0)
        for prompts in range(1, machines):
            more = best[0] * (1 + tolerance)
            if best[0] and not self.holds(more, machines - prompts, prompts):
                continue
            try:
                rates = self.highest(machines - prompts, prompts, more or start, tolerance)
            except ConfigError:
                if prompts == machines - 1 and not best[0]:
                    raise
                continue
            best = (*rates, machines - prompts, prompts)
        return best

    def frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame([self.rows[key] for key in sorted(self.rows, key=lambda key: (key[2], key[1], key[0]))])
