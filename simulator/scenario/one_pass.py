"""One pass of a scenario's model, on the one engine that runs it: what its kernels and its roofline are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from simulator.errors import ConfigError, one_of
from simulator.hardware import System
from simulator.mapping.target import Target
from simulator.provenance import Provenance
from simulator.scenario.evaluate import scenario_of
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.workload import Model, decode, operator_graph, prefill
from simulator.workload.operators.graph import OperatorGraph

Phase: TypeAlias = Literal["prefill", "decode"]


class OnePass(NamedTuple):
    """What runs a pass, and what the pass computes."""

    runner: Target
    model: Model
    graph: OperatorGraph
    title: str
    provenance: Provenance


def pass_of(
    hardware: System | str | Path,
    model: Model | str | Path,
    phase: Phase,
    batch: int,
    context: int,
    overrides: Sequence[str],
    mapping: Mapping[str, Any],
) -> Scenario:
    """The scenario of one pass: `prefill` of `context` tokens for each of `batch` sequences; `decode` of one, over it.

    Raises:
        ConfigError: what is wrong, by its key.
    """
    work = {"kind": "batch", "phase": phase, "batch": batch, "input": context, "output": 1}
    return scenario_of(hardware, model, mapping, work, overrides)


def one_pass(scenario: Scenario) -> OnePass:
    """The operators of one pass, and the engine that runs them.

    Raises:
        ConfigError: another kind of workload or phase; a context that the model was not made for; a mapping of several
            engines, stages, replicas, a draft or a spill.
        CapacityError: weights and KV caches do not fit.
    """
    work = scenario.workload
    phase = getattr(work, "phase", work.kind)
    if phase not in ("prefill", "decode"):
        expected = one_of(["prefill", "decode"])
        raise ConfigError(path=("workload", "phase"), found=f"'{phase}'", expected=expected)
    batch, context = work.batch, work.input  # type: ignore[attr-defined]
    deployed = deployment(scenario)
    system, model, runner = deployed.system, deployed.model, deployed.engine
    for key, several in {
        "dispatch": len(deployed.engines) > 1, "pipeline": deployed.parallel.pipeline > 1,
        "data": deployed.parallel.data > 1,
        "context": deployed.parallel.context > 1,
        "draft": deployed.draft is not None, "spill": deployed.spill is not None,
        "placement": bool(deployed.placement), "block": deployed.block is not None,
    }.items():  # fmt: skip
        if several:
            raise ConfigError(path=("mapping", key), found="one", expected="none: kernels are shown of one engine")
    if not 1 <= context <= model.max_context:
        raise ConfigError(path="context", found=context, expected=f"1 to {model.max_context:,}")
    deployed.footprint(batch, context, 0).check()
    graph = operator_graph(model, (prefill if phase == "prefill" else decode)(batch, context))
    of = f"{model.name} on {runner.ways} x {runner.device} of {system.name}"
    made_from = Provenance(
        {"hardware": system.config.data, "model": model.model_dump(), "scenario": scenario.written()}
    )
    return OnePass(runner, model, graph, f"{of}: {phase}, {batch} x {context} tokens", made_from)
