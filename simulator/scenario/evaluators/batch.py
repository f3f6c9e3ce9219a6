"""A static batch: its prefill, its decode steps or whole requests, in closed form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from simulator.core.account import bound_by
from simulator.core.resource import plain
from simulator.errors import ConfigError
from simulator.hardware.system import varies
from simulator.mapping.placement.placed import Placed
from simulator.registry import register
from simulator.scenario.batch_detail import BatchDetail, batch_detail
from simulator.scenario.batch_parts import Phase
from simulator.scenario.batch_turns import served, turns
from simulator.scenario.cases import Columns
from simulator.scenario.costs import METRICS as COSTS
from simulator.scenario.costs import NAMES as COST_NAMES
from simulator.scenario.costs import costs_of
from simulator.scenario.fastest_split import split_fastest
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import deployment, machine, model
from simulator.units import Count

LENGTHS = ("workload.batch", "workload.input", "workload.output")
STANDS = ("needed_bytes", "capacity_bytes", *COST_NAMES)
"""What a design has that its model does not fit into."""
FULL = "weights and KV caches do not fit"


class Batch(Workload):
    """So many sequences at once on an idle machine: all of each request, or one of its phases."""

    kind: Literal["batch"] = "batch"
    phase: Phase = "request"
    """`prefill`: the prompts; `decode`: one step, at the mean context of all; `request`: prompts and all steps."""
    batch: Count = 1
    """Sequences at once, on all replicas together."""
    input: Count = 512
    """Tokens of each prompt."""
    output: Count = 128
    """Tokens of each answer, of which the first comes from the prefill."""


@register("evaluator", "batch")
class BatchEvaluator:
    """Times a batch in closed form.

    `ttft_s` is the prefill; `tbt_s` a decode step at the mean context `input + (output - 2) / 2`, over the tokens that
    it gives each sequence; `e2e_s` the prefill and each further step at its own context. `tokens_per_s`: of all
    sequences. Energy a token is dynamic and static, of all devices, NaN where the machine lacks a figure; `power_w` is
    that over time. A batch of requests that does not fit is refused, or served in turns where the runtime says so:
    `batches` of them, then `ttft_s` and `tbt_s` are of the first. `expert_hit_rate`: of a cache of routed experts, over
    all steps (of the prefill where there is none); NaN without one. `expected_error`: the share by which the time may
    be off where models time kernels, if all erred one way as they do in the median; else NaN. `bound_by`: the resource
    that binds longest, of the step (of the prefill where there is none).
    """

    form = Batch
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("ttft_s", "s", "min", "time to first token"),
        Metric("tbt_s", "s", "min", "time between tokens"),
        Metric("e2e_s", "s", "min", "time to last token"),
        Metric("tokens_per_s", "1/s", "max", "throughput"),
        Metric("energy_per_token_j", "J", "min", "energy", per="token"),
        Metric("power_w", "W", "min", "power"),
        Metric("needed_bytes", "B", "min", "memory needed"),
        Metric("capacity_bytes", "B", "max", "memory"),
        Metric("batches", "1", "min", "batches one after another"),
        Metric("expert_hit_rate", "1", "max", "hit rate of cached experts"),
        Metric("expected_error", "1", "min", "expected error"),
        *COSTS,
        Metric("bound_by", label="what binds"),
    )
    needs: ClassVar[Collection[str]] = ("hardware", "model")
    mapping: ClassVar[Collection[str]] = (
        "devices", "engines", "parallel", "tensor", "pipeline", "context", "data", "expert", "experts", "memory",
        "spill", "spill_order", "placement", "block", "dtype", "kv", "activations", "compute", "fusion", "runtime",
        "kernels", "calibration", "dispatch", "draft",
    )  # fmt: skip
    kinds: ClassVar[Mapping[str, str]] = {}
    vectorised: ClassVar[bool] = True
    requires: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """What drafts tokens, where none is decoded; keys, values and answers of a tower of images, which has none."""
        work = scenario.workload
        assert isinstance(work, Batch)
        if work.phase != "prefill":
            return {}
        paths = {"mapping.draft": "a prefill, in which no token is drafted,"}
        served = model(scenario)
        tower = ("mapping.kv", "workload.output") if served.patches else ()
        return paths | dict.fromkeys(tower, f"{served.name}, a tower of images,")

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        """Lengths, and rates of the machine; none where the plan of the deployment hangs on times."""
        free = [path for path in paths if path in LENGTHS or path.startswith("hardware.")]
        if scenario is None or not free:
            return free
        if scenario.mapping.parallel is not None:  # each case has a split of its own
            return []
        system = machine(scenario)
        deployed = deployment(scenario)
        work = scenario.workload
        assert isinstance(work, Batch)
        steps_apart = deployed.engine.models is not None and work.phase == "request"  # each has a time of its own
        if not deployed.vectorised or steps_apart:
            return []
        return [path for path in free if path in LENGTHS or varies(system, path.removeprefix("hardware."))]

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work = scenario.workload
        assert isinstance(work, Batch)
        scenario = split_fastest(scenario, work)
        batch, input, output = (_lengths(columns, path, work) for path in LENGTHS)
        deployed = deployment(scenario, _rates(columns))
        footprint = deployed.footprint(plain(batch), plain(input), plain(output))
        total = footprint.total
        metrics: dict[str, Any] = {"needed_bytes": total.used, "capacity_bytes": total.capacity}
        metrics |= (
            costs_of(scenario, deployed.system, deployed.model) if any(name in wanted for name in COST_NAMES) else {}
        )
        in_turns = turns(deployed, work.phase, batch, input, output, footprint.fits)
        full = np.broadcast_to(in_turns.size < 1, cases)
        metrics["batches"] = in_turns.batches
        if not full.all():
            times, parts = served(deployed, work.phase, in_turns, input, output, bool(columns))
            metrics |= times
            metrics["expert_hit_rate"] = np.nan
            if footprint.placed and not columns:
                metrics["expert_hit_rate"] = _hit_rate(footprint.placed, work, int(in_turns.size))
            if "bound_by" in wanted:
                metrics["bound_by"] = bound_by(parts["prefill" if work.phase == "prefill" else "decode"].plan)
        if full.any():
            blank = {name: "" if name == "bound_by" else np.nan for name in metrics if name not in STANDS}
            metrics |= {name: np.where(full, value, metrics[name]) for name, value in blank.items()}
        return metrics | {"error": np.where(full, FULL, "").astype(object)}

    @staticmethod
    def detail(scenario: Scenario) -> BatchDetail:
        """The deployment, its footprint, its plans and its energy."""
        work = scenario.workload
        assert isinstance(work, Batch)
        scenario = split_fastest(scenario, work)
        return batch_detail(scenario, deployment(scenario), work)


def _hit_rate(placed: Placed, work: Batch, size: int) -> float:
    """The share of chosen experts that a cache had; NaN without one."""
    hits = placed.hits(size, work.input, work.output)
    return np.nan if hits is None else hits.rate(work.phase == "prefill")


def _lengths(columns: Columns, path: str, work: Batch) -> Any:
    """A length of each case, 1 or more."""
    values = np.asarray(columns.get(path, getattr(work, path.rpartition(".")[2])), dtype=float)
    if not np.all(values >= 1):
        raise ConfigError(path=path, found=float(values.min()), expected="1 or more")
    return values


def _rates(columns: Columns) -> dict[str, Any]:
    """The figures of the machine that differ from case to case, by their paths in it."""
    return {path.removeprefix("hardware."): each for path, each in columns.items() if path not in LENGTHS}
