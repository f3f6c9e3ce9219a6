"""How a deployment serves a static batch: what each replica has of it, and its passes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from simulator.core import Quantity
from simulator.core.resource import plain
from simulator.errors import ConfigError
from simulator.mapping.compose import check_batch
from simulator.mapping.parallel.pipeline import Replica, decode_plan, forward_plan, replica
from simulator.mapping.passes import Lowering, Passes, mean_context, step_contexts
from simulator.mapping.placement.auto import placement_of
from simulator.mapping.speculative import speculative
from simulator.mapping.spill.static_batch import spilled, spilling
from simulator.workload import Model, decode, prefill

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment


def passes(deployed: Deployment, batch: Quantity, input: Quantity, output: Quantity) -> Passes:
    """The passes that serve `batch` prompts of `input` tokens, with `output` tokens for each; of one replica.

    Batch and lengths may be arrays where the deployment is `vectorised`. Nothing is lowered or compiled before it is
    used.

    Raises:
        ConfigError: a key that a static batch does not read, a batch that the replicas do not share evenly, or lengths
            that the models were not made for.
        CapacityError: what spills does not fit.
    """
    check_batch(deployed)
    check_block(deployed, batch)
    for each in deployed.models:
        if each.patches:  # of an image, no token follows
            check_context(each, float(np.max(input)), "input")
            continue
        found = None if np.ndim(input + output) else f"{input:.0f} + {output:.0f}"
        check_context(each, float(np.max(input + output)), found=found)
    own, model = share(deployed, batch), deployed.model
    if deployed.vectorised:
        return together(deployed.lowering, model, own, input, output)
    own, input, output = int(own), int(input), int(output)
    if deployed.parallel.pipeline > 1:
        return pipelined(staged(deployed, own, input, output), model, own, input, output)
    if deployed.draft:
        lowers = placement_of(deployed, own, input, output) if deployed.placed else deployed.lowering
        return speculative(lowers, model, deployed.draft, own, input, output)
    if deployed.placed:
        return placement_of(deployed, own, input, output).passes(own, input, output)
    if deployed.spill and not deployed.footprint(batch, input, output).resident:
        return spilling(spilled(deployed, own, input, output), model, own, input, deployed.host)
    return together(deployed.lowering, model, own, input, output)


def together(lowering: Lowering, model: Model, batch: Quantity, input: Quantity, output: Quantity) -> Passes:
    """Passes that all devices share."""

    @cache
    def steps() -> Lowering:
        return lowering.compiled(model, lambda: decode(batch, step_contexts(int(input), int(output))))

    return Passes(
        lambda: lowering.plan(model, prefill(batch, input)),
        lambda context: steps().plan(model, decode(batch, context)),
    )


def pipelined(replica: Replica, model: Model, batch: int, input: int, output: int) -> Passes:
    """The batch of one replica in microbatches that pass through its stages (`pipeline_parallel.py`)."""
    microbatches = replica.microbatches(batch)
    each = batch // microbatches

    @cache
    def steps() -> Replica:
        return replica.compiled(model, decode(each, step_contexts(input, output)))

    return Passes(
        lambda: forward_plan(replica, model, prefill(each, input), microbatches),
        lambda context: decode_plan(steps(), model, decode(each, context), microbatches),
    )


@lru_cache(maxsize=8)
def staged(deployed: Deployment, batch: int, input: int, output: int) -> Replica:
    """A replica whose layers are divided by the times of a decode step, or of the prefill where that is all.

    Raises:
        ConfigError: more stages than layers.
    """
    alike = decode(batch, mean_context(input, output)) if output > 1 else prefill(batch, max(input, 1))
    engine = replace(deployed.engine, system=deployed.system)
    divided = replica(engine, deployed.parallel, deployed.model, alike)
    return replace(divided, host=deployed.host, most=deployed.software.runtime.microbatches)


def share(deployed: Deployment, batch: Quantity) -> Quantity:
    """What each replica has of a batch.

    Raises:
        ConfigError: the replicas do not share it evenly.
    """
    copies = deployed.parallel.data
    if copies > 1 and np.any(np.asarray(batch) % copies):
        raise ConfigError(path=("workload", "batch"), found=batch, expected=f"a multiple of the {copies} replicas")
    return plain(batch / copies) if copies > 1 else batch


def check_block(deployed: Deployment, batch: Quantity) -> None:
    """Nothing where the batches that take turns make up a batch.

    Raises:
        ConfigError: they do not.
    """
    block = deployed.block
    if block is None:
        return
    if block.batch and np.any(np.asarray(batch) != block.batch * block.batches):
        expected = f"{block.batches} x {block.batch} sequences, as `block` has it"
        raise ConfigError(
            path=("mapping", "block", "batch"), found=f"a workload of {float(np.max(batch)):g}", expected=expected
        )
    if np.any(np.asarray(batch) % block.batches):
        expected = f"a multiple of the {block.batches} batches"
        raise ConfigError(
            path=("mapping", "block", "batches"), found=f"a workload of {float(np.max(batch)):g}", expected=expected
        )


def check_context(model: Model, tokens: float, what: str = "input + output", found: str | None = None) -> None:
    """Nothing where a model was made for contexts of so many tokens; `found` is how they were asked for.

    Raises:
        ConfigError: it was not.
    """
    if tokens > model.max_context:
        expected = f"at most the {model.max_context} that {model.name} was made for"
        raise ConfigError(what, found=f"{found or f'{tokens:g}'} tokens", expected=expected)
