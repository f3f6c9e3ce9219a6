"""A run by window of time, as a frame: with what its machines draw, and how full its room of keys and values is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.core.account import energy, joules
from simulator.hardware.energy import static_power
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.scenario.requests.service import Run
from simulator.scenario.requests.spent import machines_of
from simulator.serving.record.series import Series, columns
from simulator.serving.service.work import demand

if TYPE_CHECKING:
    import pandas as pd


def series_frame(scenario: Scenario, run: Run, series: Series) -> pd.DataFrame:
    """A row a window: `start_s`, `seconds`, rates, the mean queue and sequences that run, TTFT, hit rate, share of the
    blocks that are held (`kv_held`), share of the time in which replicas work (`busy`), `power_w` (NaN where the
    machine lacks a figure).
    """
    import pandas as pd

    pools, deployed = run.pools, deployment(scenario, requests=True)
    system, groups = deployed.system, deployed.parallel.context
    idle = joules(energy(static_power(system, machines_of(deployed, pools))))
    blocks, figures = sum(pool.store.total for pool in pools), columns()
    rows: list[dict[str, Any]] = []
    for start, seconds, window in series:
        spent = joules(energy(demand(pools[0].iterations, [window.work]), groups))
        known = spent is not None and idle is not None
        rows.append({
            "start_s": start, "seconds": seconds,
            **{name: figure(window, seconds) for name, figure in figures.items()},
            "kv_held": window.held / seconds / blocks,
            "busy": window.busy / seconds / len(pools),
            "power_w": float(spent or 0.0) / seconds + float(idle or 0.0) if known else float("nan"),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=["start_s", "seconds", *figures, "kv_held", "busy", "power_w"])
