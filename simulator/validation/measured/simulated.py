"""Measured rows with what the program gives for them, what a plain roofline gives, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.files import remembered
from simulator.hardware.system import load_system
from simulator.mapping.form import MappingForm
from simulator.mapping.runtime.form import runtime_of
from simulator.mapping.runtime.machine import under_runtime
from simulator.scenario.evaluator import evaluated
from simulator.scenario.evaluators.batch import FULL
from simulator.scenario.form import Scenario
from simulator.validation.measured.aliases import program
from simulator.validation.measured.flags import NO_TIME, beyond, impossible
from simulator.validation.measured.kernel_times import kernel_times
from simulator.validation.measured.operators import class_of, in_seconds, operator_times
from simulator.validation.measured.plain import plain
from simulator.validation.measured.runs import cases_of

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]
"""Called with what runs, how much of it is done and how much there is."""

POWER = "power_w"
MEASURED = ("ttft_s", "tbt_s", "e2e_s", POWER)
METRICS = (*MEASURED, "bound_by", "expected_error")
LAUNCH_BOUND = 5e-6
"""Seconds of the plain roofline below which an operator hangs on what it takes to start it."""

LENGTHS = ["machine", "model", "sized.devices", "mapping.dtype", "workload.batch", "workload.input", "workload.output"]
"""What rows of one run have in common."""


def simulated_operators(
    rows: pd.DataFrame, progress: Progress | None = None, runtime: str | None = None
) -> pd.DataFrame:
    """Operators of machines that are described, machine by machine; their index must be unique.

    Each under a runtime: the one that is given, else that of its engine. By the models of GPU
    kernels that were fitted to the chip; else by the roofline of what the runtime that the machine assumes achieves.

    Adds `class`, `size`, `measured`, `simulated`, `plain` (seconds), `bound_by`, `error`, and to `flag` what is beyond
    a limit of the machine.
    """
    import pandas as pd

    parts: list[pd.DataFrame] = []
    for machine, group in rows.groupby("machine", sort=False):
        if progress:
            progress("operators", sum(map(len, parts)), len(rows))
        today, lossless = load_system(str(machine)), load_system(plain(str(machine)))
        today = under_runtime(today, runtime_of(MappingForm(runtime=runtime), today.machine.runtime))
        measured = in_seconds(group)
        times, floor = operator_times(group, today), operator_times(group, lossless)
        of_kernels = kernel_times(group, today, runtime)
        modelled = of_kernels["time_s"].notna()
        times = times.mask(modelled, of_kernels.assign(error="")[list(times)])
        flag = group["flag"].mask(group["flag"].eq(""), beyond(group, measured, lossless)).mask(measured.eq(0), NO_TIME)
        error = times["error"].mask(measured.isna() & times["error"].eq(""), "no model of the metric")
        part = {"measured": measured, "simulated": times["time_s"], "plain": floor["time_s"], "flag": flag}
        sized = {
            "expected_error": of_kernels["expected_error"],
            "class": group["op"].map(class_of),
            "size": _size(floor, lossless.engines),
            "energy_ratio": np.nan,
        }
        parts.append(group.assign(**part, **sized, bound_by=times["bound_by"], error=error))
    return pd.concat(parts).sort_index()


def _size(floor: pd.DataFrame, engines: Mapping[str, object]) -> Any:
    """What an operator hangs on in the plain roofline: its start, its FLOPs or its bytes."""
    kinds = [floor["time_s"] < LAUNCH_BOUND, floor["bound_by"].isin(list(engines))]
    return np.select(kinds, ["launch-bound", "FLOP-bound"], "memory-bound")


def simulated_runs(rows: pd.DataFrame, progress: Progress | None = None, runtime: str | None = None) -> pd.DataFrame:
    """Runs on machines that are described, all together; their index must be unique.

    Each under a runtime: the one that is given, else that of its engine, else that which its machine assumes.

    Adds `measured`, `simulated`, `plain` (seconds; watts of `POWER`), `bound_by`, `error`, `expected_error` of those
    whose kernels are modelled, `energy_ratio` of those with a power, and to `flag` what is impossible; `metric` is that
    of the evaluator.
    """
    import pandas as pd

    about = {name: rows.get(name, "") for name in ("machine", "source", "device", "engine", "version", "loop")}
    cases = cases_of(rows).assign(**about)
    names = cases["engine"].astype("string").fillna("") + " " + cases["version"].astype("string").fillna("")
    cases["mapping.runtime"] = pd.Series([runtime or program(name) for name in names], rows.index, dtype=object)
    answer = rows.assign(
        measured=cases["measured"], metric=cases["metric"], error=cases["error"], bound_by="",
        **dict.fromkeys(("simulated", "plain", "energy_ratio", "expected_error"), np.nan),
    )  # fmt: skip
    runs = cases[cases["error"].eq("")]
    if runs.empty:
        return answer
    if progress:
        progress("runs", 0, len(runs))
    lossless = {machine: plain(machine) for machine in runs["machine"].unique()}
    usual = runs.drop(columns="model.moe.experts")
    timed = [_kernels(*case) for case in zip(runs["machine"], runs["mapping.runtime"], strict=True)]
    usual = usual.assign(**{"mapping.kernels": timed})
    today = _evaluated(usual, runs["machine"])
    least = _evaluated(
        usual.assign(**{"mapping.runtime": None, "mapping.kernels": "roofline"}), runs["machine"].map(lossless)
    )
    floor = _measured_metric(least, runs["metric"])
    fits = pd.Series(least["error"] != FULL, index=runs.index)
    alike = runs["model.moe.experts"].notna()
    fewest = runs[alike].assign(**{"mapping.runtime": None})
    chosen = _measured_metric(_evaluated(fewest, fewest["machine"].map(lossless)), runs["metric"][alike])
    wrong = impossible(runs, floor.mask(alike, chosen).mask(runs["metric"].eq(POWER)), fits)
    new = pd.DataFrame(
        {
            "simulated": _measured_metric(today, runs["metric"]), "plain": floor, "bound_by": today["bound_by"],
            "error": today["error"], "flag": answer["flag"][runs.index].mask(lambda flag: flag.eq(""), wrong),
            "energy_ratio": _energy_ratio(runs, today), "expected_error": today["expected_error"],
        },
        index=runs.index,
    )  # fmt: skip
    answer.loc[runs.index, new.columns] = new
    return answer


@remembered(1024)
def _kernels(machine: str, runtime: str | None) -> str:
    """What times the kernels of a run: models, where there are any of its GPU and its libraries."""
    system = load_system(machine)
    software = runtime_of(MappingForm(runtime=runtime), system.machine.runtime)
    _, device = system.device()
    chips = any(engine.chip for engine in device.engines.values())
    return "modelled" if chips and software.runtime.modelled else "roofline"


def _evaluated(cases: pd.DataFrame, hardware: pd.Series) -> dict[str, Any]:
    """The metrics of static batches, a case each, on these machines; of a closed loop, those of its steady state.

    A closed loop of B that answers with n tokens takes in B / n prompts a step, so that a token takes a decode step and
    as many prefills of one prompt.
    """
    if cases.empty:
        return {name: np.array([]) for name in METRICS}
    columns = {path: cases[path].to_numpy() for path in map(str, cases) if "." in path or path == "model"}
    metrics = evaluated(Scenario(), {"hardware": hardware.to_numpy(object), **columns}, METRICS)
    closed = (cases["loop"].eq("closed") & cases["metric"].eq("tbt_s")).to_numpy(bool)
    if closed.any():
        prompt: dict[str, Any] = {
            "workload.phase": "prefill",
            "workload.batch": 1.0,
            "workload.output": 1.0,
            "loop": "",
        }
        prefill = _evaluated(cases[closed].assign(**prompt), hardware[closed])["ttft_s"]
        metrics["tbt_s"][closed] += (cases["workload.batch"] / cases["workload.output"]).to_numpy()[closed] * prefill
    return metrics


def _measured_metric(metrics: Mapping[str, Any], names: pd.Series) -> pd.Series:
    """Of each case the metric of its name."""
    import pandas as pd

    return pd.Series(
        np.select([names.eq(name) for name in MEASURED], [metrics[name] for name in MEASURED]), names.index
    )


def _energy_ratio(cases: pd.DataFrame, today: Mapping[str, Any]) -> pd.Series:
    """Energy as simulated over that measured, of rows with a power and runs whose time was measured too."""
    import pandas as pd

    durations = cases[cases["metric"].eq("e2e_s")].drop_duplicates(LENGTHS).set_index(LENGTHS)["measured"]
    power = cases[cases["metric"].eq(POWER)]
    seconds = durations.reindex(power.set_index(LENGTHS).index).to_numpy()
    simulated = pd.Series(today[POWER] * today["e2e_s"], index=cases.index)[power.index]
    ratio: pd.Series = (simulated / (power["measured"] * seconds)).reindex(cases.index)
    return ratio
