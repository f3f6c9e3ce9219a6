"""A mapping on a machine: engines and their ways, dispatch, where experts lie, drafts, and what spills."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING

from simulator.core import Quantity
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.compose import check
from simulator.mapping.dispatch.policy import ridge
from simulator.mapping.engines import engine_names, narrowed
from simulator.mapping.footprint.footprint import Footprint, footprint
from simulator.mapping.form import (
    DEFAULT_SCHEDULER,
    DEFAULT_STORE,
    NO_RESIDENCY,
    Experts,
    KvStore,
    MappingForm,
    Residency,
    Scheduler,
    Sharded,
    SplitBy,
)
from simulator.mapping.kernels.formats import in_formats
from simulator.mapping.lowerings.kernel_by_kernel import by_kernels
from simulator.mapping.parallel.context import Ring
from simulator.mapping.parallel.experts import Spread
from simulator.mapping.parallel.parallelism import Parallelism, group, parallelism
from simulator.mapping.passes import Lowering, Passes
from simulator.mapping.placement.rule import BlockOfBatches, Placement
from simulator.mapping.runtime.form import IDEAL, Runtime, Software, load_runtime, runtime_of
from simulator.mapping.runtime.host_time import Host
from simulator.mapping.runtime.machine import under_runtime
from simulator.mapping.speculative import Speculation, drafting, speculate
from simulator.mapping.static_batch import passes
from simulator.mapping.target import Target, target
from simulator.workload import Model, load_model

if TYPE_CHECKING:
    from simulator.mapping.gpu.modelled import Models
    from simulator.mapping.parallel.serving_stages import Part


@dataclass(frozen=True)
class Declared:
    """The iterations that an engine is compiled for: at most so many sequences, prompts and answers of these tokens, of
    a prompt at most a chunk at once.
    """

    sequences: int
    input: int
    output: int
    chunk: float = inf


@dataclass(frozen=True, eq=False)
class Deployment:
    """A model on a machine, as a mapping says (`form.py`).

    The devices are divided into replicas of `pipeline` stages, of `context` groups of `tensor` devices each. A group is
    a machine of its own, which `engines` are of. Replicas share the work; where `experts` says so, also the experts.

    Attributes:
        system: the whole machine.
        model: what it serves.
        engines: what may run a part of the model, each over the devices of one group.
        parallel: how many devices share an operator, sequences, stages, and replicas.
        dispatch: which engine runs what: a registered policy.
        draft: how tokens are drafted; None where they are not.
        answers: the engines that decode, where these compute prompts.
        software: what lies between the model and the machine; figures of the system are those under it.
        placement: rules of what lies in which tier, or `auto`; none: all in main memory.
        block: batches that go through each layer in turn.
        declared: what an engine that runs layers as a whole is compiled for, once; None: for each call anew.
        part: which stage of a pipeline that serves requests this is; None: all of it.
        ranks: whether the replicas serve requests in lockstep, each its own, and share whole experts.
    """

    system: System
    model: Model
    engines: tuple[Target, ...]
    parallel: Parallelism
    dispatch: str = "xpu_only"
    together: bool = False
    split: str = "none"
    split_by: SplitBy = "achieved"
    sharded: Sharded = "none"
    experts: Experts | None = None
    expert: int | None = None
    expert_reduces: int = 1
    migrate: bool = False
    draft: Speculation | None = None
    spill: str | None = None
    spill_order: str | None = None
    placement: Placement = ()
    block: BlockOfBatches | None = None
    residency: Residency = NO_RESIDENCY
    scheduler: Scheduler = DEFAULT_SCHEDULER
    kv_store: KvStore = DEFAULT_STORE
    answers: Deployment | None = None
    software: Software = field(default_factory=lambda: load_runtime(IDEAL))
    declared: Declared | None = None
    part: Part | None = None
    ranks: bool = False

    @property
    def nodes(self) -> int:
        """Replicas that share the experts: of requests, the nodes or ranks."""
        return self.parallel.data

    @cached_property
    def low(self) -> Target:
        """The engine of low Op/B, whose devices hold experts and KV caches."""
        return min(self.engines, key=ridge) if len(self.engines) > 1 else self.engines[0]

    @cached_property
    def high(self) -> Target:
        """The engine of high Op/B, whose devices hold all other weights."""
        return max(self.engines, key=ridge) if len(self.engines) > 1 else self.engines[0]

    @property
    def engine(self) -> Target:
        """The engine whose kernels are shown."""
        return self.high

    @property
    def max_sequences(self) -> int | None:
        """Requests that are served at once, at most, as the mapping or else its runtime has it."""
        return self.scheduler.max_sequences or self.software.runtime.scheduler.max_sequences

    @property
    def models(self) -> tuple[Model, ...]:
        """The model, and the one that drafts for it."""
        return (self.model, self.draft.draft) if self.draft and self.draft.draft else (self.model,)

    @cached_property
    def whole_layers(self) -> bool:
        """Whether its engine runs each layer as a whole, its routed experts with the rest, for uniform routing."""
        return not by_kernels(self.high)

    @property
    def lowers_experts(self) -> bool:
        """Whether routed experts are lowered with their layer, for what uniform routing expects, and not by draws.

        So they are where an engine runs each layer as a whole, where a model times them as one kernel, and where ranks
        share them.
        """
        return self.whole_layers or self.ranks or self.high.models is not None

    @cached_property
    def shares_memory(self) -> bool:
        """Whether all engines read the same memory."""
        return len({(engine.device, engine.memory) for engine in self.engines}) == 1

    @property
    def groups(self) -> int:
        """Groups of devices that hold different experts; each replica has one of its own unless they share."""
        number = self.model.moe.experts if self.model.moe else 1
        return self.expert or min(number, self.nodes if self.experts != "whole" else self.nodes * self.low.ways)

    @property
    def expert_ways(self) -> int:
        """How many devices each expert is cut over."""
        return self.nodes * self.low.ways // self.groups

    @property
    def shares_experts(self) -> bool:
        """Whether the experts are spread over the replicas; else each replica has all of them."""
        return self.experts is not None or self.expert is not None

    @property
    def layers(self) -> float:
        """Layers that a pass goes through: of a stage that serves requests, its own."""
        return self.part.layers if self.part else self.model.layers

    @property
    def moe_layers(self) -> int:
        """Those of them that have experts."""
        return self.part.moe_layers if self.part else sum(layer.moe for layer in self.model.decoder)

    @property
    def vectorised(self) -> bool:
        """Whether lengths, batch and rates may be arrays in one lowering: no choice of its plan hangs on a time."""
        alone = len(self.engines) == 1 and not self.whole_layers
        return alone and self.parallel.pipeline == 1 and self.draft is None and self.spill is None and not self.placed

    @property
    def placed(self) -> bool:
        """Whether rules place its parts, or several batches take turns."""
        return bool(self.placement) or self.block is not None

    @cached_property
    def lowering(self) -> Lowering:
        """What lowers the passes of one stage."""
        engines = self.engines
        if self.shares_experts:
            spread = Spread(self.parallel.data, self.system.machine.devices[self.high.device].count)
            engines = tuple(replace(engine, spread=spread) for engine in engines)
        return Lowering(engines, self.dispatch, self.together, self.host)

    @cached_property
    def host(self) -> Host:
        """What drives each pass, on the device of the engine whose kernels are shown."""
        return self.software.host(self.high.system.machine.devices[self.high.device], self.model.vocab)

    def passes(self, batch: Quantity, input: Quantity, output: Quantity) -> Passes:
        """The passes of one replica that serve a static batch; `batch` prompts of all replicas (`static_batch.py`)."""
        return passes(self, batch, input, output)

    def footprint(self, batch: Quantity, input: Quantity, output: Quantity) -> Footprint:
        """What a static batch keeps in memory (`footprint.py`)."""
        return footprint(self, batch, input, output)


def resolve(form: MappingForm, system: System, model: Model, draft: Model | None = None) -> Deployment:
    """A mapping on a machine; `draft`: the model that the form names to draft, where it is loaded already.

    Raises:
        ConfigError: a name that the machine lacks; devices that do not share the model so; keys that do not compose.
    """
    if form.parallel is not None:
        expected = "null: of a batch alone, whose times are compared; state tensor, pipeline and data"
        raise ConfigError(path=("parallel",), found=f"'{form.parallel}'", expected=expected)
    software = runtime_of(form, system.machine.runtime)
    formats = form.dtype, form.kv, form.activations, form.compute
    model = _cached(in_formats(model, *formats), form, software.runtime)

    def load(name: str) -> Model:
        return _cached(in_formats(draft or load_model(name), *formats), form, software.runtime)

    helper = drafting(model, form.draft, load) if form.draft else None
    modelled = form.kernels == "modelled"
    system = under_runtime(system, software, model.dtypes.weights, modelled)
    names = engine_names(system, form.engines, form.dispatch is not None, model.dtypes.products)
    device = names[0].partition(".")[0]
    system = narrowed(system, names, form.devices, form.fusion)
    parallel = parallelism(system.count(device), form.tensor, form.pipeline, form.data, form.context)
    stage = group(system, device, parallel)
    places = (name.partition(".") for name in names)
    engines = tuple(target(stage, device, engine, form.memory) for device, _, engine in places)
    if parallel.context > 1:
        ring = Ring(parallel.context, system.machine.devices[device].count)
        engines = tuple(replace(each, ring=ring) for each in engines)
    if modelled:
        engines = tuple(replace(each, models=_models(form, system, each, software)) for each in engines)
    deployed = Deployment(
        system,
        model,
        engines,
        parallel,
        form.dispatch or "xpu_only",
        draft=speculate(model, helper, form.draft) if form.draft else None,
        answers=_answers(form, system, model),
        software=software,
        **{key: getattr(form, key) for key in _KEPT},
    )
    check(form, deployed)
    return deployed


def _models(form: MappingForm, system: System, engine: Target, software: Software) -> Models:
    """What times the kernels of an engine."""
    from simulator.mapping.gpu.modelled import models  # which no roofline needs

    if engine.description.chip is None:
        found, expected = f"'modelled' on {engine.name}", f"roofline, or a machine whose {engine.name} has a 'chip'"
        raise ConfigError(path=("kernels",), found=found, expected=expected)
    try:
        return models(system, engine.name, software, form.calibration)
    except ConfigError as error:
        if error.file is None and form.calibration is not None:
            error.path = ("calibration",)
        raise


_KEPT = (
    "together", "split", "split_by", "sharded", "experts", "expert", "expert_reduces", "migrate", "spill",
    "spill_order", "placement", "block", "residency", "scheduler", "kv_store",
)  # fmt: skip


def _cached(model: Model, form: MappingForm, runtime: Runtime) -> Model:
    """A model with the format of KV caches that a runtime has for that of its weights, where the mapping has none."""
    kv = runtime.kv.get(model.dtypes.weights) if form.kv is None else None
    return in_formats(model, kv=kv) if kv else model


def by_nodes(form: MappingForm, system: System) -> MappingForm:
    """The mapping of requests: each node computes its own attention and dense layers, and all share the experts.

    A pipeline is of the whole machine.
    """
    data = system.machine.nodes if form.data == form.pipeline == 1 else form.data
    return form.model_copy(update={"data": data, "experts": form.experts or "tensor"})


def _answers(form: MappingForm, system: System, model: Model) -> Deployment | None:
    """The same mapping with the engines that decode, where these are others."""
    if not form.answers:
        return None
    return resolve(form.model_copy(update={"engines": form.answers, "answers": ()}), system, model)
