"""One pass of a model on a machine, as it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from simulator.errors import ConfigError, one_of
from simulator.hardware import System
from simulator.mapping.deployment import resolve
from simulator.mapping.form import MappingForm
from simulator.mapping.target import Target
from simulator.serving.loaded import loaded
from simulator.workload import Model, decode, operator_graph, prefill
from simulator.workload.graph import OperatorGraph

Phase: TypeAlias = Literal["prefill", "decode"]


class OnePass(NamedTuple):
    """What runs a pass, and what the pass computes."""

    runner: Target
    model: Model
    graph: OperatorGraph
    title: str


def one_pass(
    hardware: System | str | Path,
    model: Model | str | Path,
    phase: Phase,
    batch: int,
    context: int,
    devices: int | None,
    dtype: str | None,
    overrides: Sequence[str],
    kv: str | None = None,
) -> OnePass:
    """The operators of one pass: `prefill` of `context` tokens for each of `batch` sequences; `decode` of one, over it.

    Raises:
        ConfigError: a phase or name that there is not, or a context that the model was not made for.
        CapacityError: weights and KV caches do not fit.
    """
    if phase not in ("prefill", "decode"):
        raise ConfigError(path="phase", found=phase, expected=one_of(["prefill", "decode"]))
    system, model = loaded(hardware, model, overrides)
    deployment = resolve(MappingForm.model_construct(devices=devices, dtype=dtype, kv=kv), system, model)
    runner, model = deployment.engine, deployment.model
    if batch < 1:
        raise ConfigError(path="batch", found=batch, expected="1 or more")
    if not 1 <= context <= model.max_context:
        raise ConfigError(path="context", found=context, expected=f"1 to {model.max_context:,}")
    deployment.footprint(batch, context, 0).check()
    graph = operator_graph(model, (prefill if phase == "prefill" else decode)(batch, context))
    of = f"{model.name} on {runner.ways} x {runner.device} of {system.name}"
    return OnePass(runner, model, graph, f"{of}: {phase}, {batch} x {context} tokens")
