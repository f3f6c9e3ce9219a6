"""The question that an architect asks first: how fast does this machine serve this model?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simulator.core import Plan, closed_form
from simulator.core.breakdown import binding
from simulator.errors import CapacityError, ConfigError
from simulator.hardware import System
from simulator.mapping.memory_plan import ORDERS, space
from simulator.mapping.parallelism import Parallelism, parallelism
from simulator.mapping.pipeline_parallel import Replica, replica
from simulator.mapping.placement import Placement, largest, max_batch, max_context, place
from simulator.mapping.spill import Spill, spills
from simulator.mapping.target import Target, target
from simulator.mapping.tensor_parallel import check_ways
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.serving.energy import EnergyPart, energy
from simulator.serving.generation import (
    Generation,
    Passes,
    generated,
    mean_context,
    pipelined,
    spilling,
    step_contexts,
    tensor_parallel,
)
from simulator.serving.loaded import check_context, in_formats, loaded
from simulator.serving.speculative import Speculation, speculate, speculative
from simulator.workload import Model, decode, load_model, operator_graph, prefill

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Result):
    """One static batch: `batch` prompts of `input` tokens that each get `output` tokens.

    Attributes:
        ttft_s: time to first token: the prefill of the whole batch.
        tbt_s: time between tokens at the mean context, `input + (output - 2) / 2` (of the next one if output is 1):
            of a step, over the tokens that it gives where they are drafted.
        e2e_s: the prefill and each of the decode steps at its own context.
        tokens_per_s: output tokens of all sequences over `e2e_s`.
        bound_by: what binds most of the time, for `ttft` and `tbt`: a resource, or `latency`.
        energy: dynamic and static energy of the whole run, term by term.
        placement: bytes in main memory, and in the tier that it spills to.
        most: finds the largest batch of prompts and answers of these lengths, and the longest context of this batch
            with answers of this length, that fit where this one lies; 0 where there is none.
        run: the plans behind `ttft_s` and `e2e_s`.
        decode: the plan behind `tbt_s`, of one step.
        parallelism: how the devices share the model; `run` and `decode` are of one replica.
        speculation: how tokens are drafted; None where they are not.
        spill: what lies where, with main memory and the tier behind it; None where all is in main memory.
    """

    target: Target
    model: Model
    batch: int
    input: int
    output: int
    ttft_s: float
    tbt_s: float
    e2e_s: float
    tokens_per_s: float
    bound_by: dict[str, str]
    energy: tuple[EnergyPart, ...]
    placement: Placement
    most: tuple[Callable[[], int], Callable[[], int]]
    run: Generation
    decode: Plan
    parallelism: Parallelism
    speculation: Speculation | None
    spill: Spill | None
    provenance: Provenance

    @cached_property
    def max_batch(self) -> int:
        """The largest batch that fits at these lengths."""
        return self.most[0]()

    @cached_property
    def max_context(self) -> int:
        """The longest context, of a prompt and its answer of this length, that fits at this batch."""
        return self.most[1]()

    @property
    def energy_j(self) -> float | None:
        """Joules of the whole run; None where the machine lacks a figure."""
        joules = [part.joules for part in self.energy]
        return None if None in joules else sum(j for j in joules if j is not None)

    @property
    def missing(self) -> tuple[str, ...]:
        """The keys that the machine's YAML lacks for the energy."""
        return tuple(dict.fromkeys(part.key for part in self.energy if part.each is None))

    def as_json(self) -> dict[str, Any]:
        system = self.target.system
        return {
            "hardware": system.name,
            "devices": self.target.ways,
            "parallelism": asdict(self.parallelism),
            "engine": self.target.name,
            "model": self.model.name,
            "formats": {
                "weights": self.model.dtypes.weights,
                "kv": self.model.dtypes.kv,
                "activations": self.model.dtypes.activations,
                "compute": self.model.dtypes.products,
            },
            "batch": self.batch,
            "input": self.input,
            "output": self.output,
            "speculation": self.speculation and self.speculation.as_dict(),
            "ttft_s": self.ttft_s,
            "tbt_s": self.tbt_s,
            "e2e_s": self.e2e_s,
            "tokens_per_s": self.tokens_per_s,
            "bound_by": self.bound_by,
            "energy_j": self.energy_j,
            "energy_missing": list(self.missing),
            "tiers": {
                name: {
                    "weights_bytes": self._stored(name, "weight"),
                    "kv_bytes": self._stored(name, "kv"),
                    "activations_bytes": self._stored(name, "activation"),
                    "capacity_bytes": system.capacity(name),
                }
                for name in system.tiers
            },
            "max_batch": self.max_batch,
            "max_context": self.max_context,
            "provenance": self.provenance.as_dict(),
        }

    def _stored(self, tier: str, kind: Literal["weight", "kv", "activation"]) -> float:
        """Bytes of weights, of keys and values, or of activations in a tier."""
        if self.spill:
            return self.spill.stored(tier.removeprefix(f"{self.target.device}."), kind)
        main = self.placement
        return {"weight": main.weights, "kv": main.kv, "activation": main.activations}[kind] * (tier == main.tier)

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        figures = {k: v for k, v in self.as_json().items() if isinstance(v, int | float | str)}
        return {"estimate": pd.DataFrame([figures])}


def estimate(
    hardware: System | str | Path,
    model: Model | str | Path,
    batch: int = 1,
    input: int = 512,
    output: int = 128,
    *,
    devices: int | None = None,
    dtype: str | None = None,
    kv: str | None = None,
    memory: str | None = None,
    overrides: Sequence[str] = (),
    tensor: int | None = None,
    pipeline: int = 1,
    data: int = 1,
    draft: Model | str | Path | None = None,
    drafted: int = 4,
    acceptance: float | None = None,
    accepted_length: float | None = None,
    spill: bool = False,
    spill_order: str | None = None,
) -> Estimate:
    """Closed-form times of one static batch, by default tensor parallel over all devices of the machine.

    The first token comes from the prefill; step i = 1 .. output - 1 decodes over `input + i - 1` tokens of context.
    `devices` is how many devices, of all nodes, share the model; `dtype` the format of weights and of products with
    them, and of the rest if it is a number of 16 bits or more; `kv` that of the KV cache; `memory` the tier for weights
    and KV caches, the first off-chip one that the engine reads unless given; `overrides` are `path.to.key=value` of the
    machine, or of the model behind `model.`, where these are given by name.

    `pipeline` stages of `tensor` devices each, in `data` replicas that share the batch, make up the devices
    (`mapping/parallelism.py`). A `draft` model drafts `drafted` tokens a step, each accepted at the rate `acceptance`,
    or so many that a step gives `accepted_length` tokens (`serving/speculative.py`). With `spill`, what main memory
    cannot hold lies in the next tier that the engine reads (`mapping/spill.py`); in the `spill_order` of
    `mapping/memory_plan.py`, the one that takes the least time unless given.

    Raises:
        ConfigError: a batch or length below 1, or beyond what the model was made for; a wrong name or override; devices
            that do not divide the model or the batch so; a draft beside stages or replicas, or without an acceptance.
        CapacityError: weights and KV caches do not fit.
    """
    for name, value in (("batch", batch), ("input", input), ("output", output)):
        if not isinstance(value, int) or value < 1:
            raise ConfigError(
                path=name, found=value, expected="1 or more" if isinstance(value, int) else "a whole number"
            )
    system, model = loaded(hardware, model, devices, dtype, overrides, kv)
    helper = None if draft is None else in_formats(draft if isinstance(draft, Model) else load_model(draft), dtype, kv)
    for each in [model, helper] if helper else [model]:
        check_context(each, input + output, found=f"{input} + {output}")
    runner = target(system, memory=memory)
    parallel = parallelism(runner.ways, tensor, pipeline, data)
    for each in [model, helper] if helper else [model]:
        check_ways(each, parallel.tensor)
    speculation = speculate(helper, drafted, acceptance, accepted_length)
    typical = float(mean_context(input, output))
    asked: dict[str, Any] = {"batch": batch, "input": input, "output": output, "devices": runner.ways}
    share: Replica | None = None
    spilled = None
    if spill:
        if speculation or not parallel.is_tensor:
            found = "a draft, stages or replicas"
            raise ConfigError(path="spill", found=found, expected="all devices tensor parallel alone")
        orders = [spill_order] if spill_order else list(ORDERS)
        spilled, run = _fastest(_plans(runner, model, batch, input, output, orders), model, batch, input, output)
        placement = _in_both(spilled)
        asked |= {"spill": True, "spill_order": spilled.order}
    elif parallel.is_tensor:
        placement = place(runner, model, batch, input + output, output=output, draft=helper)
    else:
        share = _replica(runner, parallel, model, batch, typical if output > 1 else None, input, speculation)
        placement = place(runner, model, batch, input + output, output=output, replica=share)
        asked |= {"parallelism": asdict(parallel)}
    if speculation:
        asked |= {"speculation": speculation.as_dict(), "draft": speculation.draft.model_dump()}
    if spilled:
        passes = spilling(spilled, model, batch, input)
    else:
        passes = _passes(runner, model, batch, input, output, share, speculation)
        run = generated(passes, input, output)
    step = passes.step(typical)
    room: dict[str, Any] = {"output": output, "replica": share, "draft": helper}
    return Estimate(
        target=runner,
        model=model,
        batch=batch,
        input=input,
        output=output,
        ttft_s=run.ttft,
        tbt_s=float(closed_form(step).time) / passes.tokens,
        e2e_s=run.seconds,
        tokens_per_s=batch * output / run.seconds,
        bound_by={"ttft": next(iter(binding(run.prefill))), "tbt": next(iter(binding(step)))},
        energy=energy(system, run, parallel.data),
        placement=placement,
        most=_most_spilled(spilled, placement, model, batch, input, output, orders)
        if spilled
        else (
            partial(max_batch, runner, model, input + output, **room),
            partial(max_context, runner, model, batch, **room),
        ),
        run=run,
        decode=step,
        parallelism=parallel,
        speculation=speculation,
        spill=spilled,
        provenance=Provenance({"hardware": system.config.data, "model": model.model_dump(), "estimate": asked}),
    )


def _passes(
    runner: Target,
    model: Model,
    batch: int,
    input: int,
    output: int,
    share: Replica | None,
    speculation: Speculation | None,
) -> Passes:
    if share:
        return pipelined(share, model, batch // share.parallel.data, input, output)
    if speculation:
        return speculative(runner, model, speculation, batch, input, output)
    return tensor_parallel(runner, model, batch, input, output)


def _plans(runner: Target, model: Model, batch: int, input: int, output: int, orders: Sequence[str]) -> Iterator[Spill]:
    """The memory plans, by order, of the prefill and of the decode steps, with room for one token more than these."""
    contexts = np.append(step_contexts(input, output), input + output)
    first, later = (operator_graph(model, each) for each in (prefill(batch, input), decode(batch, contexts)))
    return spills(runner, [(first, 1.0), (later, output - 1.0)], orders)


def _fastest(plans: Iterator[Spill], model: Model, batch: int, input: int, output: int) -> tuple[Spill, Generation]:
    """The memory plan that takes the least time, and its run."""
    runs = [(each, generated(spilling(each, model, batch, input), input, output)) for each in plans]
    return min(runs, key=lambda run: run[1].seconds)


def _most_spilled(
    plan: Spill, placed: Placement, model: Model, batch: int, input: int, output: int, orders: Sequence[str]
) -> tuple[Callable[[], int], Callable[[], int]]:
    """What finds the largest batch and the longest context of which a memory plan over both tiers has room."""
    runner, rest = plan.target, placed.used - placed.weights
    more = (placed.capacity - placed.weights) / rest  # as many times what lies beside the weights, or nearly

    def fits(batch: int, input: int) -> bool:
        try:
            return next(_plans(runner, model, batch, input, output, orders)) is not None
        except CapacityError:
            return False

    return (
        lambda: largest(lambda each: fits(each, input), near=max(int(more * batch), 1)),
        lambda: output + largest(lambda each: fits(batch, each), model.max_context - output, max(int(more * input), 1)),
    )


def _in_both(spilled: Spill) -> Placement:
    """What main memory and the tier that it spills to hold together."""
    target = spilled.target
    tiers = [target.memory, target.spill or target.memory]
    kinds: tuple[Literal["weight", "kv", "activation"], ...] = ("weight", "kv", "activation")
    weights, kv, activations = (sum(spilled.stored(tier, kind) for tier in tiers) for kind in kinds)
    capacity = sum(space(target, tier).capacity for tier in tiers) * target.ways
    return Placement(f"{target.device}.{target.memory}", capacity, weights, kv, activations)


def _replica(
    runner: Target,
    parallel: Parallelism,
    model: Model,
    batch: int,
    context: float | None,
    input: int,
    speculation: Speculation | None,
) -> Replica:
    """A replica whose layers are divided by the times of a decode step, or of the prefill where it is all (None)."""
    if speculation:
        expected = "no draft: speculation is modelled with all devices tensor parallel"
        raise ConfigError("pipeline x data", found=f"{parallel.pipeline} x {parallel.data}", expected=expected)
    if batch % parallel.data:
        raise ConfigError(path="batch", found=batch, expected=f"a multiple of the {parallel.data} replicas")
    each = batch // parallel.data
    return replica(runner, parallel, model, prefill(each, input) if context is None else decode(each, context))
