"""One stage of a serving run as plans: a forward pass of the sequences that a node has, without its routed experts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity, Plan, Quantity, launched
from simulator.mapping.deployment import Declared, Deployment
from simulator.mapping.dispatch import Route, policy
from simulator.mapping.gpu.modelled import Attended, attention_once
from simulator.mapping.lowering import block_kernels, compiled, kernel_activity, lowered, reduction
from simulator.mapping.parallel.collective import Level, all_reduce, over
from simulator.mapping.parallel.context import shared
from simulator.mapping.parallel.pipeline import handed_on
from simulator.mapping.parallel.tensor import cache_ways
from simulator.mapping.target import Target
from simulator.workload import Batch, Block, Cut, Model, Ragged, Routing, kv_bytes_per_layer, operator_graph
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT

PARTS = (16, 4, 1)
"""Of a chunk of a prompt: parts of it that programs are compiled for too."""
FEATURES = ("prompts", "prompt_tokens", "prompt_pairs", "decoding", "context", "prompt_past")
"""A stage, as a node sees it: prompts (or chunks of them), their new tokens, and pairs of one and a key that it sees;
sequences that decode, and the tokens that they have cached; and those that prompts have, of chunks before.

For each of the `cuts` of a model come three more: pairs and keys of prompts, and keys of those that decode."""
SIZES = 9  # numbers of sequences, from one to all, that a program is looked at for
TYPICAL = (1.0, 1024.0, 1024.0 * 1025 / 2, 64.0, 64 * 2048.0, 16.0)
TYPICAL_CUT = (1024.0 * 128, 1151.0, 64 * 128.0)


class Kind(NamedTuple):
    """What a node computes in a stage: prompts, sequences that decode, both, or neither, while it waits for the others.

    `mixed`: whether any node computes a prompt.
    """

    prompts: bool
    decoding: bool
    mixed: bool


DECODING, MIXED = Kind(False, True, False), Kind(True, True, True)


def kinds(x: NDArray[np.float64], mixed: bool) -> Iterator[tuple[Kind, NDArray[np.intp]]]:
    """The kinds of nodes with features `x`, shape (nodes, features), each with the rows that are of it.

    Where the stage is not mixed, prompts do not count.
    """
    code = 2 * mixed * (x[:, 0] > 0) + (x[:, 3] > 0)
    for each in range(4):
        rows = np.flatnonzero(code == each)
        if rows.size:
            yield Kind(bool(each & 2), bool(each & 1), mixed), rows


class Part(NamedTuple):
    """A block of the model in a stage, and how often it occurs.

    `fixed`: its dispatch does not look at the size of the batch, so that its demands are affine in the features.
    """

    repeat: int
    plan: Plan
    fixed: bool


def typical(model: Model) -> tuple[float, ...]:
    """Features of a typical stage of a model."""
    return TYPICAL + TYPICAL_CUT * len(model.cuts)


def batch(x: NDArray[np.float64], kind: Kind, of: tuple[Cut, ...] = ()) -> Batch:
    """The sequences of nodes of a kind, shape (..., features), of a model with these cuts as far as x has them."""
    (prompts, tokens, pairs, decoding, context, past), rest = np.split(np.moveaxis(x, -1, 0), [len(FEATURES)])
    keys = context + decoding  # a sequence sees what is cached and its new token
    known = dict(zip(of, rest.reshape(-1, 3, *rest.shape[1:]), strict=False))
    in_prompts = {cut: (pairs, keys) for cut, (pairs, keys, _) in known.items()}
    of_prompts = (Ragged("prefill", prompts, tokens, pairs, tokens + past, in_prompts),) if kind.prompts else ()
    seen = {cut: (seen, seen) for cut, (_, _, seen) in known.items()}
    return (*of_prompts, Ragged("decode", decoding, decoding, keys, keys, seen)) if kind.decoding else of_prompts


def blocks(
    deployment: Deployment, x: NDArray[np.float64], kind: Kind, routing: Routing | None = None
) -> tuple[Block, ...]:
    """The blocks of stages of a kind, with features `x`: what a device has of their sequences; of a part, its own.

    `routing` gives the distinct experts that their tokens touch: as uniform routing does, if None.
    """
    model, part, spread = deployment.model, deployment.part, deployment.lowering.engines[0].spread
    if deployment.ranks and spread:
        routing = spread.routing(model)
    of_all = operator_graph(model, deployment.high.share(batch(x, kind, model.cuts)), routing).blocks
    if part is None:
        return of_all
    return tuple(replace(block, repeat=n) for block, n in zip(of_all, part.repeats, strict=True) if n)


def stage(deployment: Deployment, x: NDArray[np.float64], kind: Kind) -> Iterator[Part]:
    """The blocks of stages with features `x`, shape (stages, features), on one node.

    Routed experts take no time here (but on an engine that runs a layer as a whole, and of ranks that share them, where
    they are those of as many tokens on each); what an MoE layer sends is here:
    `exchange`. A node without sequences has no work.
    """
    if not (kind.prompts or kind.decoding):
        return
    mine = blocks(deployment, x, kind)
    yield from _blocks(deployment, x, kind, mine)
    if (sent := _sent(deployment, x, kind, mine[-1])) is not None:
        plan = Plan(sent.name)
        plan.add(sent)
        yield Part(1, plan, True)


def _sent(deployment: Deployment, x: NDArray[np.float64], kind: Kind, last: Block) -> Activity | None:
    """What a part of a pipeline sends on, after its last block."""
    if deployment.part is None:
        return None
    high, sequences = deployment.high, batch(x, kind, deployment.model.cuts)
    index, answers = deployment.part.index, kind.decoding
    return handed_on(deployment.system, deployment.parallel, index, high, last, sequences, answers)


def _blocks(deployment: Deployment, x: NDArray[np.float64], kind: Kind, of: Sequence[Block]) -> Iterator[Part]:
    """The blocks of stages, without what is sent to another."""
    choose = policy(deployment.dispatch)
    tokens = kind.prompts * x[:, 1] + kind.decoding * x[:, 3]
    for block in of:
        if deployment.ranks:
            yield Part(1, lowered(deployment.lowering.engines[0], block), False)
            continue
        if deployment.whole_layers:
            yield Part(1, lowered(whole_layers_engine(deployment, kind), block), False)
            continue
        if deployment.high.ring:
            yield Part(block.repeat, _shared(deployment.high, block), True)
            continue
        if deployment.high.models is not None:
            yield Part(block.repeat, _modelled(deployment, block, tokens), True)
            continue
        route = Route(deployment.engines, block, deployment.together, True, kind.mixed)
        choices = choose(route)
        plan = route.plan(choices)
        for step in route.steps:
            if step[0].routed:
                for activity in exchange(deployment, tokens):
                    plan.add(activity)
            if deployment.migrate and any(unit.phase == "prefill" for unit in step):
                plan.add(migration(deployment, x[:, 1]))
        yield Part(block.repeat, plan, not any(isinstance(choice, np.ndarray) for choice in choices))


def _shared(target: Target, block: Block) -> Plan:
    """A block whose sequences groups of devices share."""
    plan = Plan(block.name)
    for part in shared(target, block_kernels(target, block)):
        plan.add(part)
    return plan


def _modelled(deployment: Deployment, block: Block, tokens: Quantity) -> Plan:
    """A block of one engine whose kernels have models; and what its layer of experts sends."""
    target, plan = deployment.high, Plan(block.name)
    for kernel in block_kernels(target, block):
        plan.add(kernel_activity(target, kernel))
        for size in kernel.reduces:
            for activity in reduction(target, size):
                plan.add(activity)
        if kernel.groups is not None:
            for activity in exchange(deployment, tokens):
                plan.add(activity)
    return plan


def attended(deployment: Deployment, kind: Kind) -> Iterator[dict[str, Attended]]:
    """The attention of each block of a stage in plain floats, by the names of its activities (`gpu/modelled.py`)."""
    target, model = deployment.high, deployment.model
    chosen = any(layer.attention and (layer.attention.chunk or layer.attention.top_k) for layer, _ in model.kinds)
    x = np.array(typical(model))
    mine = blocks(deployment, x, kind)
    for block in mine:
        if (
            target.models is None or target.ring or chosen
        ):  # keys that are no window, of which a kernel's shape does not tell
            yield {}
            continue
        known = {k.name: attention_once(target.models, k, target.chip) for k in block_kernels(target, block)}
        yield {name: each for name, each in known.items() if each is not None}
    if _sent(deployment, x, kind, mine[-1]) is not None:
        yield {}


@lru_cache(maxsize=32)
def whole_layers_engine(deployment: Deployment, kind: Kind) -> Target:
    """The engine that runs layers as a whole, with programs for all iterations of a kind that are declared."""
    if deployment.declared is None:
        return deployment.high
    x = _iterations(deployment.declared, kind, deployment.model.cuts)
    return compiled(deployment.high, lambda: blocks(deployment, x, kind))


def _iterations(load: Declared, kind: Kind, of: tuple[Cut, ...]) -> NDArray[np.float64]:
    """Features of the iterations of a kind that a deployment declares, neighbours alike: shape (iterations, features).

    Up to all sequences decode, at every context of an answer; up to all prompts come together, or as long a chunk of
    each as is computed at once, in the middle of it, or `PARTS` of that, as behind a prefix that is cached; beside
    those that decode comes one, or as many as leave room for them.
    """
    longest = min(load.input, load.chunk)
    lengths = np.unique(np.ceil(longest / np.array(PARTS)))
    numbers = np.unique(np.geomspace(1, load.sequences, SIZES).round())
    contexts = load.input + np.arange(max(load.output - 1, 1), dtype=np.float64)
    together: list[tuple[float, float, float, float]]
    if not kind.prompts:
        together = [(longest, 0.0, number, context) for number in numbers for context in contexts]
    elif not kind.decoding:
        together = [(tokens, number, 0.0, 0.0) for tokens in lengths for number in numbers]
    else:
        pairs = [(1.0, number) for number in numbers] + [(n, max(load.sequences - n, 1.0)) for n in numbers]
        together = [(tokens, *pair, contexts.mean()) for tokens in lengths for pair in pairs]
    return np.array([alike(tokens, n, more, at, of, (load.input - tokens) / 2) for tokens, n, more, at in together])


def decoding_at(
    features: int, decoding: float, contexts: NDArray[np.float64], seen: Sequence[NDArray[np.float64]] = ()
) -> NDArray[np.float64]:
    """Features of stages in which so many sequences decode, over the tokens that all have cached, and see by cut."""
    x = np.zeros((len(contexts), features))
    x[:, 3], x[:, 4] = decoding, contexts
    for place, keys in enumerate(seen):
        x[:, len(FEATURES) + 3 * place + 2] = keys
    return x


def alike(
    tokens: float, prompts: float, decoding: float, context: float, of: tuple[Cut, ...], past: float = 0.0
) -> list[float]:
    """Features of so many tokens of each prompt, after past ones, and of sequences that decode at a context."""
    cut = (
        (prompts * c.pairs(tokens, past), prompts * c.keys(tokens, past), decoding * min(context + 1, c.limit))
        for c in of
    )
    pairs = tokens * past + tokens * (tokens + 1) / 2
    plain = (prompts, prompts * tokens, prompts * pairs, decoding, decoding * context, prompts * past)
    return [*plain, *(float(each) for three in cut for each in three)]


def expert_engine(deployment: Deployment, mixed: bool) -> Target:
    """The engine that the policy gives the routed experts of a stage, for a batch of typical size."""
    choose = policy(deployment.dispatch)
    for block in blocks(deployment, np.array(typical(deployment.model)), MIXED if mixed else DECODING):
        route = Route(deployment.engines, block, deployment.together)  # the experts' times count here
        for step, choice in zip(route.steps, choose(route), strict=True):
            if step[0].routed:
                return deployment.engines[route.options(step)[int(choice)][0]]
    return deployment.high


def migration(deployment: Deployment, tokens: Quantity) -> Activity:
    """The copy of one layer's keys and values of so many tokens of prompts between memory spaces, over the bus.

    The high engine reads and writes what each device holds of them, `2 tokens kv_bytes_per_layer / cache_ways` bytes
    (arXiv 2409.01141, section V-C, which neglects it).
    """
    high, model = deployment.high, deployment.model
    size = 2 * tokens * kv_bytes_per_layer(model) / cache_ways(model, high.ways)
    tier = high.tier
    bus, port = high.system[tier], high.system[f"{tier}->{high.name}"]
    return launched("keys and values to their spaces", {bus: size, port: size}, high.latency)


def exchange(deployment: Deployment, tokens: Quantity) -> Iterator[Activity]:
    """What an MoE layer sends beside the all-reduce of its result, for the `tokens` of a node.

    Inside a node the tokens are on every device when its attention has been reduced, and the results of the experts
    are partial sums; nothing else is sent, but for a second all-reduce where `expert_reduces` says so. Between nodes
    each row goes to the node of its expert and its result comes back (two all-to-alls of `tokens top_k hidden`
    elements a node); the devices that an expert is cut over gather the rows, and reduce and scatter the results.
    """
    model, system = deployment.model, deployment.low.system  # of one node, as all that the node does
    assert model.moe
    element = BYTES_PER_ELEMENT[model.dtypes.activations]
    device = deployment.low.device
    if deployment.nodes > 1:
        rows = tokens * model.moe.top_k * model.hidden * element
        send = [Level("node", deployment.nodes, rows)]
        yield from over(send, system, "all_to_all")
        arrived = rows * (deployment.nodes - 1) / deployment.nodes / (deployment.low.ways / deployment.expert_ways)
        cut = [Level(device, deployment.expert_ways, arrived)]
        yield from over(cut, system, "all_gather")
        yield from over(cut, system, "reduce_scatter")
        yield from over(send, system, "all_to_all")
    if deployment.experts == "tensor" and deployment.expert_reduces > 1:
        yield from all_reduce(system, device, tokens * model.hidden * element)
