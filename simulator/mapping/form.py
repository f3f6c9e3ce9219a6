"""The form of a section `mapping`: who computes a model, how devices share it, where it lies, in which formats."""

from __future__ import annotations

from os.path import isfile
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from simulator import data
from simulator.config.choose import choose, one_among, registered_as
from simulator.config.section import Section
from simulator.mapping.placement.rule import BlockOfBatches, Placement
from simulator.mapping.spill.memory_plan import ORDERS
from simulator.units import Bandwidth, Bytes, Count, EnergyPerByte, Fraction, Positive, Unit, Width
from simulator.workload.formats.dtypes import Dtype
from simulator.workload.formats.named import ComputingFormat, KvFormat

RUNTIMES = "hwconfigs/runtimes"
"""The folder of those that ship."""


def _runtime(name: str) -> str:
    shipped = data.folder(RUNTIMES) / f"{name}.yaml"
    return name if isfile(name) or isfile(shipped) else choose(name, data.names(RUNTIMES))


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])]
"""One name, or a list of some."""
Experts: TypeAlias = Literal["whole", "tensor"]
Sharded: TypeAlias = Literal["none", "optimizer", "gradients", "weights"]
SplitBy: TypeAlias = Literal["achieved", "peak"]
Portion: TypeAlias = Annotated[float, Unit("1"), Field(ge=0, le=1)]


class Draft(Section):
    """Speculative decoding: tokens are drafted, and the model checks them in one pass."""

    kind: Literal["model", "mtp", "ngram"] = "model"
    """Who drafts: another `model`; `mtp`, the model's own layer that predicts further tokens; `ngram`, what followed
    the last tokens where they occurred before, which takes no time of an engine."""
    model: str | None = None
    """The model that drafts, by its name or path, of the kind `model`."""
    tokens: Count = 4
    """Tokens drafted a step."""
    acceptance: Portion | None = None
    """The rate at which drafted tokens are accepted; null where `accepted_length` says it."""
    accepted_length: Positive | None = None
    """Tokens that a step gives on average, with that of the large model; null where `acceptance` says it."""


class Residency(Section):
    """What lies in a small tier of something larger: experts of a composition, neurons of a model in flash."""

    home: str | None = None
    """The tier where all of it lies, `device.tier`."""
    cache: str | None = None
    """The tier that holds what is in use, `device.tier`."""
    policy: str | None = None
    """What leaves the cache; null: as the kind of workload has it."""
    links: Count | None = None
    """Links side by side that copy at once; null: all."""
    manager: str | None = None
    """The engine that reads and keeps neurons, `device.engine`."""
    threads: Count | None = None
    """Threads that read; null: as many as the storage has reads in flight."""
    overlap: Literal["none", "layer", "prefetch"] = "none"
    """What is read while something else is computed."""
    bytes: Bytes | None = None
    """Bytes of the cache that may be filled; null: all that is free."""
    home_bytes: Bytes | None = None
    """Bytes of the home that may be filled; null: all of it."""
    inclusive: bool = True
    """Whether the home keeps what is in the cache too."""
    router_in_cache: bool = True
    """Whether the cache keeps the router of expert models too."""
    prefetch: Literal["none", "batch", "trace"] = "none"
    """Whose expert is copied while the prompt before runs: nobody's; that of the next prompt of the batch, which is
    routed; or of any, as if all choices were known ahead."""
    group: bool = False
    """Whether prompts of a batch that need the same expert are served one after another."""
    nodes_by: Literal["home", "cache"] = "home"
    """The tier that must hold all of it, where nodes are counted."""
    share: Fraction | None = None
    """Or so large a share of the bytes of the model."""
    room: Fraction | None = None
    """Or what so large a share of the neurons takes, beside all weights that are no neuron's."""
    sparse: bool = True
    """Whether a token reads active neurons alone, where the cache lacks them; else all weights that are not `resident`,
    as whole matrices."""
    resident: Portion = 0.0
    """Share of all weights that never leaves the cache, where tokens read whole matrices."""
    matrix_dtype: ComputingFormat | None = None
    """The format of the file of whole matrices; null: that in which they compute."""
    window: Width | None = None
    """Tokens whose neurons a window holds; null: as the workload has it."""
    pinned: Portion = 0.0
    """Share of the neurons, the most active ones, that never leave the cache."""
    bundled: bool = True
    """Whether rows of a neuron lie together in the home tier, as many as the workload has it."""
    split: Count | None = None
    """Reads in which a neuron comes, whatever lies together; null: as its rows lie."""
    together: Literal["neuron", "friends"] = "neuron"
    """What a read brings: a neuron, or also the one that is most often active with it."""
    packed: bool = False
    """Whether what is read lies end to end in the file; else each begins at a grain of the flash."""
    gathered: bool = True
    """Whether a layer computes active neurons alone; else all that the cache holds of it."""


class Scheduler(Section):
    """What chooses the requests of an iteration."""

    kind: Annotated[str, registered_as("scheduler", "continuous")] = "continuous"
    """`continuous`: those that wait join before an iteration with whole prompts; of traces, as the runtime has it."""
    max_sequences: Count | None = None
    """Sequences served at once, at most; null: as many as there is room for."""
    tokens: Count | None = None
    """Tokens of an iteration at most, of prompts and of answers; null: as the program has it by default."""
    preempt: Literal["recompute", "swap"] | None = None
    """A sequence that loses its room: computed anew, or copied to the host and back; null: as the scheduler does."""
    watermark: Portion | None = None
    """Share of the blocks that stay free when a sequence joins; null: as the scheduler has it by default."""
    ahead: bool | None = None
    """Whether an iteration is chosen while the one before runs, so that arrivals wait; null: as the runtime."""
    replicas: Count = 1
    """Replicas of the machine, each with a queue of its own."""
    prompts: Count | None = None
    """Replicas beside these that compute prompts alone; keys and values go over a link; null: these do both."""
    balance: Literal["round_robin", "session", "least_loaded", "prefix_aware", "kv_aware"] = "round_robin"
    """Which replica serves: in turn; one a session; fewest requests, longest cached prefix, most free blocks."""
    order: Literal["fcfs", "shortest", "priority", "deadline"] = "fcfs"
    """Who is first: who came first, has the fewest tokens to compute, the greatest priority, or is due earliest."""
    home: str | None = None
    """The tier where all models lie that requests name, each of this one's form; they take turns in memory."""


class KvTier(Section):
    """A tier behind memory for keys and values of prefixes."""

    tier: str
    """Its full name, `device.tier`."""
    bytes: Annotated[float, Unit("B"), Field(ge=0)] | None = None
    """Bytes of it that they may fill, 0 for no tier; null: all that the machine has of it for a replica."""


def _tiers(value: Any) -> Any:
    """A name alone stands for all of that tier."""
    several = value if isinstance(value, list | tuple) else (value,)
    return tuple({"tier": each} if isinstance(each, str) else each for each in several)


class KvStore(Section):
    """Where keys and values of requests lie, under a scheduler that counts their blocks."""

    kind: Annotated[str, registered_as("kv")] | None = None
    """`blocks`: each is of one sequence; `prefix`: those of a prefix that others have too are found again; null: as the
    runtime has it (`prefix_caching`)."""
    block: Count | None = None
    """Tokens of a block; null: as the runtime has it."""
    blocks: Count | None = None
    """Blocks of a replica, or of each of its ranks, where they are known; null: as many as memory has room for."""
    link: Bandwidth | None = None
    """Rate at which keys and values leave a replica that computes prompts alone, one request after another."""
    link_energy: EnergyPerByte | None = None
    """Energy of that link; null: not known, and neither is that of a service that has one."""
    swap: str | None = None
    """The tier to which a sequence is copied that loses its room, by its full name; null: none is."""
    tiers: Annotated[
        tuple[KvTier, ...], BeforeValidator(_tiers, json_schema_input_type=str | tuple[str | KvTier, ...])
    ] = ()
    """Tiers behind memory to which blocks of prefixes go that have no room before: the nearest first; none: they are
    gone."""
    overlap: Literal["none", "layer"] = "layer"
    """What copies between tiers go on beside: nothing, so that an iteration waits for them; or, layer by layer, the
    iteration that needs them."""
    reuse: Literal["always", "faster"] = "always"
    """What is copied of a prompt found behind memory: all of it, or of each further tier only what is sooner there than
    computed anew, by the time of the prompt alone; and no tier where nothing is, by the way there and back."""


NO_RESIDENCY, DEFAULT_SCHEDULER, DEFAULT_STORE = Residency(), Scheduler(), KvStore()


class MappingForm(Section):
    """Who computes a model, how devices share it, where it lies, and in which formats."""

    devices: Count | None = None
    """Devices of the engines' type, over all nodes; null: all of the machine."""
    engines: Names = ()
    """`device.engine`, or a device, or an engine that one device has; none: the default engine, or with a dispatch all
    engines of its device."""
    answers: Names = ()
    """Engines that decode, where `engines` compute prompts; none: the same."""
    parallel: Literal["auto"] | None = None
    """`auto`: of a static batch, the split over `tensor`, `pipeline`, `context`, `data` and `experts`, as far as these
    are not stated, that is fastest of those that fit; null: as they say."""
    tensor: Count | None = None
    """Devices that share each operator; null: what `pipeline`, `context` and `data` leave."""
    pipeline: Count = 1
    """Stages of `tensor` devices (or of `context` such groups), each with some of the layers."""
    context: Count = 1
    """Groups of `tensor` devices that share each sequence, each with an equal part of its tokens, of their keys and
    values, and with all weights of their stage (context parallel, ring attention)."""
    data: Count = 1
    """Replicas, which share the batch; of requests, ranks that serve in lockstep and share experts that are `whole`."""
    expert: Count | None = None
    """Groups of devices that hold different experts; null: as `experts` says."""
    sharded: Sharded = "none"
    """What of training the replicas hold in equal parts instead of each all of it, and gather when they use it: what
    the `optimizer` keeps; also the `gradients`; also the `weights` (stages 1, 2 and 3 of ZeRO; FSDP)."""
    experts: Experts | None = None
    """`whole`: each expert on one device, spread over all; `tensor`: each cut over the devices of a replica, and spread
    over replicas; null: each replica has all of them, cut over its devices."""
    expert_reduces: Annotated[int, Field(ge=1, le=2)] = 1
    """All-reduces of an MoE layer: 2 where those of attention reduce once more."""
    split: Annotated[str, registered_as("split", "none")] = "none"
    """How two engines share the routed experts of a device; `none`: one has them all."""
    split_by: SplitBy = "achieved"
    """The times that a split goes by: as achieved, or at peak bandwidths."""
    migrate: bool = False
    """Whether keys and values of prompts are copied to the memory space of the caches."""
    dispatch: Annotated[str, registered_as("dispatch")] | None = None
    """Which engine runs what; null: one engine runs all."""
    together: bool = False
    """Whether engines of one device run at once where nothing makes them wait."""
    memory: str | None = None
    """The tier of weights and KV caches; null: the first off-chip one that the engine reads."""
    spill: str | None = None
    """The tier that takes what `memory` cannot hold; null: nothing may spill."""
    spill_order: Annotated[str, one_among(lambda: ORDERS)] | None = None
    """What spills first; null: the order that takes the least time."""
    placement: Placement = ()
    """Rules of which part of the model lies in which tier and how it is used from there, the first that matches
    counts; or `auto`: those that take the least time. None: all in `memory`."""
    block: BlockOfBatches | None = None
    """Batches that go through each layer in turn, so that a layer's weights are copied once for all; null: one."""
    dtype: ComputingFormat | None = None
    """The format of weights, which says what products with them compute in; one of 16 bits or more is that of all
    else too. null: the model's."""
    kv: KvFormat | None = None
    """The format of KV caches; null: as `dtype` or the model has it."""
    activations: Dtype | None = None
    """The format of activations; null: as `dtype` or the model has it."""
    compute: Dtype | None = None
    """The format of products with weights; null: as `dtype` or the model has it."""
    fusion: Literal["unfused", "conventional", "streaming"] | None = None
    """How operators are fused into kernels; null: as the machine has it."""
    runtime: Annotated[str, AfterValidator(_runtime)] | None = None
    """The software between the model and the machine, by its name or path; null: the machine's, else `ideal`."""
    kernels: Literal["roofline", "modelled"] = "roofline"
    """What times kernels: the roofline of what the runtime achieves; or of a GPU models of its libraries' kernels, by
    shape."""
    calibration: str | None = None
    """Constants of modelled kernels by their name or path; null: those of the chip, else those of its family."""
    draft: Draft | None = None
    """What drafts tokens; null: nothing."""
    residency: Residency = NO_RESIDENCY
    """What lies in a small tier of something larger."""
    scheduler: Scheduler = DEFAULT_SCHEDULER
    """What chooses the requests of an iteration."""
    kv_store: KvStore = DEFAULT_STORE
    """Where keys and values of requests lie."""
