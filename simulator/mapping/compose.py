"""What composes in a mapping; what does not is refused by the name of its key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from simulator import data
from simulator.errors import ConfigError, one_of
from simulator.mapping.form import DEFAULT_SCHEDULER, DEFAULT_STORE, NO_RESIDENCY, RUNTIMES, MappingForm
from simulator.mapping.lowerings.kernel_by_kernel import by_kernels
from simulator.mapping.parallel.tensor import check_ways
from simulator.mapping.placement.placed import placed
from simulator.mapping.runtime.form import load_runtime
from simulator.mapping.spill.passes import check_spill
from simulator.mapping.target import computed_in, peak
from simulator.workload.model.attention import Attention

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment

LIBRARIES = "a runtime of libraries that have models of kernels, as gpu-libraries, trt-llm and vllm-v1"

Refusal: TypeAlias = tuple[bool, str, object, str]
"""Whether it applies, its key, what was found there and what was expected."""


def check(form: MappingForm, deployed: Deployment) -> None:
    """Nothing, where the keys of a mapping compose.

    Raises:
        ConfigError: some do not; or heads, layers or experts that the devices do not share.
    """
    _refuse(*_apart(form, deployed))
    _check_rates(form, deployed)
    _check_whole_layers(deployed)
    if deployed.placement and isinstance(deployed.placement, tuple):
        where = placed(deployed, deployed.placement, 1.0, 1.0)  # which tells what a rule names that is not there
        cached, beside = bool(where.layout.cached), "one with a cache of experts"
        _refuse(
            (cached and deployed.block is not None, "block", beside, "null: a cache is of one batch at a time"),
            (cached and deployed.draft is not None, "draft", beside, "none: choices of drafted tokens are not drawn"),
        )
    if deployed.spill is not None:
        check_spill(deployed.engine, deployed.spill)
    _check_experts(deployed)
    for engine in deployed.engines:
        others = deployed.expert_ways if engine is deployed.low else 1
        for model in deployed.models:
            check_ways(model, engine.ways, others if deployed.shares_experts else None)


def check_batch(deployed: Deployment) -> None:
    """Nothing, where a static batch can be served so: every key is read, and what it asks for is modelled.

    Raises:
        ConfigError: a key of requests or of other kinds of workload, by its name.
    """
    alone = "none: of requests alone"
    _refuse(
        (deployed.answers is not None, "answers", "other engines", alone),
        (deployed.sharded != "none", "sharded", f"'{deployed.sharded}'", "'none', but of training"),
        *_spread(deployed),
        (deployed.expert_reduces > 1, "expert_reduces", deployed.expert_reduces, "1, but of requests"),
        (deployed.split != "none", "split", f"'{deployed.split}'", "'none', but of requests"),
        (deployed.migrate, "migrate", "true", "false, but of requests"),
        (deployed.together, "together", "true", "false, but of requests: no pass has both prompts and answers"),
        (deployed.scheduler != DEFAULT_SCHEDULER, "scheduler", "one", alone),
        (deployed.kv_store != DEFAULT_STORE, "kv_store", "one", alone),
        (deployed.residency != NO_RESIDENCY, "residency", "one", "none: of experts or neurons"),
    )


def _spread(deployed: Deployment) -> Iterator[Refusal]:
    """What does not go with experts that the replicas of a static batch share, or ranks that serve requests."""
    if not deployed.shares_experts:
        return
    model, draft = deployed.model.moe, deployed.models[-1].moe
    key, stated = ("experts", deployed.experts) if deployed.expert is None else ("expert", deployed.expert)
    yield model is None, key, stated, f"a model with experts, which {deployed.model.name} has not"
    cut = "null: each replica has all experts, cut over its devices"
    fewer = "fewer devices, and more replicas of them (mapping.scheduler.replicas)"
    whole = f"one device an expert, or {fewer if deployed.ranks else cut}"
    yield deployed.expert_ways > 1, key, f"{stated}, of {deployed.expert_ways} devices an expert", whole
    yield deployed.parallel.pipeline > 1, "pipeline", deployed.parallel.pipeline, "1 with experts that replicas share"
    yield len(deployed.engines) > 1, "dispatch", f"'{deployed.dispatch}'", "one engine with experts that replicas share"
    yield deployed.high.models is not None, "kernels", "'modelled'", "'roofline' with experts that replicas share"
    other = model is not None and draft is not None and draft.experts != model.experts
    yield other, "draft", "one of other experts", "one without experts, or as many, where replicas share them"


def check_requests(deployed: Deployment) -> None:
    """Nothing, where requests can be served so.

    Raises:
        ConfigError: a draft or a tier to spill to; devices other than a node as one group, or as a pipeline.
    """
    device = deployed.engines[0].device
    node, parallel = deployed.system.machine.devices[device].count, deployed.parallel
    nodes = deployed.system.machine.nodes
    apart = "engines of another memory, to which keys and values are copied"
    _refuse(
        *_staged(deployed),
        *_ranked(deployed),
        (
            not deployed.ranks and parallel.data > 1 and (parallel.pipeline > 1 or parallel.data != nodes),
            "data",
            parallel.data,
            "1, and more replicas (mapping.scheduler.replicas); or experts 'whole', of a model that has some",
        ),
        (
            parallel.pipeline == 1 and parallel.stage != node and not deployed.ranks,
            "tensor",
            parallel.stage,
            f"{node}, the {device} of a node, of requests",
        ),
        (
            parallel.context > 1 and bool(deployed.kv_store.tiers or deployed.kv_store.swap),
            "context",
            f"{parallel.context} with a kv_store of several tiers",
            "1, or keys and values in memory alone",
        ),
        (
            parallel.context > 1 and bool(deployed.model.cuts),
            "context",
            f"{parallel.context} with the windows or chunks of {deployed.model.name}",
            "1, of requests",
        ),
        (not deployed.shares_experts, "experts", "none", "'whole' or 'tensor', of requests"),
        (
            _answers_at_home(deployed),
            "answers",
            f"engines that read the {deployed.low.memory} of those of prompts",
            apart,
        ),
        *_modelled(deployed),
        (deployed.sharded != "none", "sharded", f"'{deployed.sharded}'", "'none', but of training"),
        (deployed.draft is not None, "draft", "one", "none, of requests"),
        (deployed.spill is not None, "spill", f"'{deployed.spill}'", "none, of requests"),
        (bool(deployed.placement), "placement", "one", "none, of requests"),
        (deployed.block is not None, "block", "one", "none, of requests"),
        (deployed.residency != NO_RESIDENCY, "residency", "one", "none: of experts or neurons"),
    )


def _modelled(deployed: Deployment) -> Iterator[Refusal]:
    """What does not go with kernels that a model times, where requests are served."""
    if deployed.high.models is None:
        return
    roofline = "or kernels by the roofline"
    yield deployed.migrate, "migrate", "true with kernels 'modelled'", f"false, {roofline}"
    found = f"{deployed.groups} groups of devices with kernels 'modelled'"
    yield deployed.groups > 1, "experts", found, f"'tensor' on one node, {roofline}"


def _staged(deployed: Deployment) -> Iterator[Refusal]:
    """What does not go with stages that serve requests."""
    stages, high = deployed.parallel.pipeline, deployed.high
    if stages == 1:
        return
    whole = f"{high.name}, of kind {high.description.kind}, which runs a layer as a whole"
    for applies, other in ((deployed.whole_layers, whole), *_beside(deployed)):
        yield applies, "pipeline", f"{stages} with {other}", "1, or none of that"


def _ranked(deployed: Deployment) -> Iterator[Refusal]:
    """What does not go with ranks that serve requests in lockstep and share the experts."""
    if not deployed.ranks:
        return
    yield from _spread(deployed)
    yield deployed.migrate, "migrate", "true with experts that ranks share", "false"
    alone = "1, and more replicas (mapping.scheduler.replicas); or none of that"
    for applies, other in _beside(deployed):
        yield applies, "data", f"{deployed.parallel.data} with {other}", alone


def _beside(deployed: Deployment) -> Iterator[tuple[bool, str]]:
    """What does not go with several pools that are one replica."""
    store, chosen = deployed.kv_store, deployed.scheduler
    yield deployed.answers is not None, "other engines that answer"
    yield bool(store.tiers), "a kv_store of several tiers"
    yield chosen.preempt == "swap", "a scheduler that swaps"
    yield chosen.home is not None, "models that take turns"
    yield chosen.prompts is not None, "prompts that are computed elsewhere"


def _of_context(form: MappingForm, deployed: Deployment) -> Iterator[Refusal]:
    """What does not go with groups of devices that share each sequence."""
    ways, software, engine = deployed.parallel.context, deployed.software, deployed.engine
    if ways == 1:
        return
    beside = (
        (len(deployed.engines) > 1, f"dispatch '{deployed.dispatch}'"),
        (deployed.answers is not None, "other engines that answer"),
        (deployed.placed, "placement" if deployed.placement else "block"),
        (deployed.spill is not None, f"spill '{form.spill}'"),
        (deployed.migrate, "migrate"),
    )
    for applies, other in beside:
        yield applies, "context", f"{ways} with {other}", "1, or none of that"
    shared = deployed.shares_experts and deployed.model.moe is not None
    of = f"{ways} with the experts of {deployed.model.name} shared"
    yield shared, "context", of, "1; or a batch without `experts`: those of requests always are"
    if not by_kernels(engine):
        kind = f"{engine.name}, of kind {engine.description.kind}, which runs a layer as a whole"
        yield True, "context", f"{ways} on {kind}", "1, or an engine that runs kernel by kernel"
    if not software.runtime.divides_context:
        able = one_of(name for name in data.names(RUNTIMES) if load_runtime(name).runtime.divides_context)
        yield True, "context", f"{ways} under {software.name}", f"1, or a runtime that has it: {able}"
    for model in deployed.models:
        for layer, _ in model.kinds:
            if not layer.mixers:
                continue
            expected, a = f"1: {model.name} ", layer.attention
            state = "passes a state from token to token, one device after another"
            yield any(not isinstance(mixer, Attention) for mixer in layer.mixers), "context", ways, expected + state
            sparse = a is not None and bool(a.top_k or a.compression)
            yield (
                sparse,
                "context",
                ways,
                expected + "chooses keys among all of a sequence, which no model of it passes",
            )


def _of_kernels(form: MappingForm, deployed: Deployment) -> Iterator[Refusal]:
    """What does not go with models of kernels, and what only they read."""
    if form.kernels == "roofline":
        yield form.calibration is not None, "calibration", f"'{form.calibration}'", "kernels: modelled"
        return
    named = " and ".join(engine.name for engine in deployed.engines)
    software = deployed.software
    other = f"kernels: roofline, or {LIBRARIES}"
    yield not software.runtime.modelled, "kernels", f"'modelled' under {software.name}", other
    yield len(deployed.engines) > 1, "kernels", f"'modelled' with {named}", "one engine"
    apart = deployed.engine.description.fusion == "unfused"
    yield apart, "kernels", "'modelled' with fusion 'unfused'", "kernels as libraries fuse them"
    yield deployed.spill is not None, "kernels", f"'modelled' with spill '{deployed.spill}'", "no spill"


def _of_placement(form: MappingForm, deployed: Deployment) -> Iterator[Refusal]:
    """What does not go with rules of placement, or with several batches that take turns."""
    if not deployed.placed:
        return
    key = "placement" if deployed.placement else "block"
    parallel, kind = deployed.parallel, deployed.engine.description.kind
    beside = (
        (len(deployed.engines) > 1, f"dispatch '{deployed.dispatch}'"),
        (parallel.pipeline > 1, f"pipeline {parallel.pipeline}"),
        (parallel.data > 1, f"data {parallel.data}"),
        (deployed.shares_experts, "experts that devices share"),
        (deployed.draft is not None and not isinstance(deployed.placement, tuple), "a draft"),
        (deployed.draft is not None and deployed.block is not None, "a draft and several batches in turn"),
        (deployed.spill is not None, f"spill '{form.spill}'"),
        (form.kernels == "modelled", "kernels 'modelled'"),
        (form.memory is not None and not by_kernels(deployed.engine), f"memory '{form.memory}'"),
    )
    for applies, other in beside:
        yield applies, key, f"one with {other}", "none of them: one replica of one engine, by rooflines"
    by_layers = not by_kernels(deployed.engine)
    yield by_layers, key, f"one on {deployed.engine.name}, of kind {kind}, which runs a layer as a whole", "spill"


def _answers_at_home(deployed: Deployment) -> bool:
    """Whether the engines that decode read the memory of those that compute prompts."""
    if deployed.answers is None:
        return False
    low, other = deployed.low, deployed.answers.low
    return (low.device, low.memory) == (other.device, other.memory)


def _apart(form: MappingForm, deployed: Deployment) -> Iterator[Refusal]:
    """Keys that do not go together, whatever is computed."""
    engines, parallel = deployed.engines, deployed.parallel
    named = " and ".join(engine.name for engine in engines)
    several = len(engines) > 1
    per_node = deployed.system.machine.devices[engines[0].device].count
    yield several and form.dispatch is None, "dispatch", f"none with {named}", "a policy that shares the work out"
    beside = [f"{engines[0].device}.{name}" for name in deployed.system.machine.devices[engines[0].device].engines]
    lone = not several and (form.dispatch if len(beside) > 1 else deployed.dispatch != "xpu_only")
    other = f"engines beside it: {one_of(beside)}" if len(beside) > 1 else "a device with several engines"
    yield bool(lone), "dispatch", f"'{form.dispatch}' with {named} alone", other
    yield form.together and form.dispatch is None, "together", "true", "a dispatch over several engines"
    devices = dict.fromkeys(engine.device for engine in engines)
    cut = len(devices) > 1 and bool(parallel.tensor % per_node)
    yield cut, "tensor", f"{parallel.tensor} with {named}", f"whole nodes, of {per_node} {engines[0].device}"
    staged = parallel.pipeline > 1
    yield staged and several, "dispatch", f"'{deployed.dispatch}' with pipeline {parallel.pipeline}", "one engine"
    yield staged and deployed.draft is not None, "draft", f"one with pipeline {parallel.pipeline}", "no stages"
    yield staged and deployed.spill is not None, "spill", f"'{form.spill}' with stages", "no stages"
    both = deployed.spill is not None and deployed.draft is not None
    yield both, "spill", f"'{form.spill}' with a draft", "no draft"
    unread = form.spill_order is not None and form.spill is None
    yield unread, "spill_order", f"'{form.spill_order}'", "a run that spills"
    unshared = deployed.split != "none" and not (len(engines) == 2 and deployed.shares_memory)
    pair = "two engines over one memory, which share the experts"
    yield unshared, "split", f"'{deployed.split}' with {', '.join(e.name for e in engines)}", pair
    yield form.split_by == "peak" and form.split == "none", "split_by", "'peak'", "a split"
    once = form.expert_reduces > 1 and form.experts == "whole"
    yield once, "expert_reduces", form.expert_reduces, "1 with whole experts"
    yield from _of_context(form, deployed)
    yield from _of_kernels(form, deployed)
    yield from _of_placement(form, deployed)


def _check_rates(form: MappingForm, deployed: Deployment) -> None:
    """Nothing, where some engine has a rate for each format of numbers that the mapping makes the model compute in.

    Of a format that the model has anyway, or that one of several engines lacks, the lowering tells.
    """
    formats = deployed.model.dtypes
    for dtype, own in ((formats.products, "compute"), (formats.activations, "activations")):
        key = next((key for key in (own, "dtype") if getattr(form, key) is not None), None)
        if key is None or any(computed_in(each.description.peak, dtype) for each in deployed.engines):
            continue
        try:
            peak(deployed.system, deployed.engine.name, dtype)
        except ConfigError as error:
            place = ConfigError(file=error.file, line=error.line, path=error.path)
            message = f"no rate for this dtype at {place}"
            raise ConfigError(message, path=(key,), found=error.found, expected=error.expected) from None


def _check_whole_layers(deployed: Deployment) -> None:
    """Nothing, where an engine that runs layers as a whole has all the work to itself, experts cut as all else."""
    shared = deployed.shares_experts and deployed.model.moe is not None
    for engine in (each for each in deployed.engines if not by_kernels(each)):
        kind = f"{engine.name}, of kind {engine.description.kind}, which runs a layer as a whole"
        over = f"{deployed.nodes} with {kind}"
        _refuse(
            (len(deployed.engines) > 1, "engines", f"{kind}, and others", "it alone"),
            (deployed.migrate, "migrate", f"true with {kind}", "false"),
            (shared and deployed.nodes > 1, "nodes", over, "1, for routed experts"),
            (shared and deployed.groups > 1, "experts", f"'{deployed.experts}' with {kind}", "'tensor'"),
        )


def _check_experts(deployed: Deployment) -> None:
    """Nothing, where all groups of devices hold as many experts, and have as many devices."""
    model, key = deployed.model, "experts" if deployed.expert is None else "expert"
    if not deployed.shares_experts or (model.moe is None and deployed.expert is None):
        return
    devices, number = deployed.nodes * deployed.low.ways, model.moe.experts if model.moe else 1
    if number % deployed.groups or devices % deployed.groups or (deployed.expert or deployed.nodes) % deployed.nodes:
        expected = f"a number that divides the {number} experts of {model.name}, or that they divide"
        raise ConfigError(path=key, found=f"{deployed.groups} groups of {devices} devices", expected=expected)


def _refuse(*refusals: Refusal) -> None:
    for applies, key, found, expected in refusals:
        if applies:
            raise ConfigError(path=(key,), found=found, expected=expected)
