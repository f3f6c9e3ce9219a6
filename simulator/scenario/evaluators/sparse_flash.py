"""A model that is read from flash as tokens need it: what a token takes, by flash, DRAM and sparsity."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from math import nan
from typing import Any, ClassVar, Literal

import numpy as np

from simulator.core.account import energy, traffic
from simulator.core.row_policies import row_policy
from simulator.errors import ConfigError
from simulator.mapping.deployment import Deployment
from simulator.mapping.kernels.formats import in_formats
from simulator.mapping.neurons.held import Keeping, NeuronTraffic, Steps, held, settled
from simulator.mapping.neurons.room import capacity, page_cache
from simulator.mapping.neurons.steps import SpeculativeSteps, advances, token_steps
from simulator.mapping.neurons.stored import Stored, stored
from simulator.mapping.neurons.token_plan import Memory
from simulator.mapping.static_batch import check_context
from simulator.registry import names, register
from simulator.scenario.cases import Columns
from simulator.scenario.costs import METRICS as COSTS
from simulator.scenario.costs import costs_of
from simulator.scenario.evaluator import EachAlone
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import at_key, deployment, named, tiers
from simulator.serving.sparse import Decoded, decode_dense, decode_sparse
from simulator.units import Count, Size, Width
from simulator.workload import Model, weight_bytes
from simulator.workload.neurons.forms import ActiveNeurons, Portion, digest

POLICY = "lru"
"""What leaves the buffer, unless the mapping says."""
OF_NEURONS = (
    "policy", "manager", "threads", "overlap", "bytes", "share", "room", "window", "pinned", "bundled", "split",
    "together", "packed", "gathered",
)  # fmt: skip
OF_ACTIVITY = (
    "warm_up", "traced", "window", "bundle", "drafted", "acceptance", "share", "exponent", "activity",
    "share_by_layer", "errors", "seed",
)  # fmt: skip
OF_MATRICES = ("resident", "matrix_dtype")
"""The keys of residency and workload that runs read which are sparse, or not."""
TIERS = ("flash", "dram", "memory")


class SparseFlash(Workload, ActiveNeurons):
    """Tokens of one sequence, of which each activates some neurons of every layer."""

    kind: Literal["sparse_flash"]
    input: Count = 512
    """Tokens of context that each token reads; where it grows, the first."""
    grows: bool = False
    """Whether the context grows by each token."""
    tokens: Count = 24
    """Tokens that are timed."""
    warm_up: Count = 192
    """Tokens before them, in which caches fill."""
    traced: Literal["one", "all"] = "one"
    """The layers that are traced: one that stands for all, or each by itself."""
    window: Width = 64
    """Tokens whose neurons a window holds, unless the mapping says."""
    bundle: Count | None = None
    """Rows of a neuron that lie together, where they are bundled; null: all."""
    scales: Size | None = None
    """Bytes that the format keeps beside each weight; null: as the model or its format has it."""
    ranks: tuple[tuple[Width, Count], ...] = ()
    """Ranks of the predictors from the first layer on, each with how many layers have it; none: no predictors."""
    drafted: Width = 0
    """Tokens drafted a step, by what is not counted, and checked in one pass."""
    acceptance: Portion = 0.0
    """The rate at which drafted tokens are accepted."""


@register("evaluator", "sparse_flash")
class SparseFlashEvaluator(EachAlone):
    """Reads weights from flash for tokens, one after another: each case is a run of its own.

    The DRAM (`residency.cache`) keeps what is no neuron, and as many neurons as there is room for; `residency.policy`
    says which. What is missing is read from the flash (`residency.home`), through the operating system's page cache
    where the flash has one; `residency.manager` is the engine that moves rows. Means of a token once caches are full.
    What is not `sparse` reads whole matrices for each token. Traffic and energy are of the tiers of memory alone, the
    `memory` being that of the engine, where it is another than the DRAM.
    """

    form = SparseFlash
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("total_s", "s", "min", "time", per="token"),
        Metric("io_s", "s", "min", "time of flash reads", per="token"),
        Metric("memory_s", "s", "min", "time to manage memory", per="token"),
        Metric("compute_s", "s", "min", "time to compute", per="token"),
        Metric("tokens_per_s", "1/s", "max", "throughput"),
        Metric("io_share", "1", "min", "flash reads over the time"),
        Metric("dram_bytes", "B", "min", "DRAM that the model takes"),
        Metric("asked_bytes", "B", "min", "bytes asked of flash", per="token"),
        Metric("read_bytes", "B", "min", "bytes read from flash", per="token"),
        Metric("dram_share", "1", "min", "share of the model in DRAM"),
        Metric("held_share", "1", "max", "share of neurons in DRAM"),
        Metric("missed_share", "1", "min", "share of neurons loaded", per="token"),
        Metric("predictor_share", "1", "min", "predictors over the model"),
        *(Metric(f"{each}_traffic_bytes", "B", "min", f"traffic of {each}", "token") for each in TIERS),
        *(Metric(f"{each}_energy_j", "J", "min", f"energy of {each}", "token") for each in TIERS),
        *COSTS,
    )
    needs: ClassVar[Collection[str]] = ("hardware", "model")
    mapping: ClassVar[Collection[str]] = ("devices", "engines", "dtype", "kv", "fusion", "runtime", "residency")
    residency: ClassVar[Collection[str]] = (
        "home",
        "cache",
        "policy",
        "manager",
        "threads",
        "overlap",
        "bytes",
        "share",
        "room",
        "sparse",
        "resident",
        "matrix_dtype",
        "window",
        "pinned",
        "bundled",
        "split",
        "together",
        "packed",
        "gathered",
    )
    kinds: ClassVar[Mapping[str, str]] = {"mapping.residency.policy": "rows"}
    files: ClassVar[Mapping[str, Callable[[str], Any]]] = {"workload.activity.file": digest}

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """What keeps neurons, where tokens read whole matrices; what keeps matrices, where they read neurons."""
        work, keeps = scenario.workload, scenario.mapping.residency
        assert isinstance(work, SparseFlash)
        if not keeps.sparse:
            keys = [f"mapping.residency.{key}" for key in OF_NEURONS] + [f"workload.{key}" for key in OF_ACTIVITY]
            alike = (
                {} if work.grows else {"workload.tokens": "a run whose tokens are all alike (not `sparse`, no `grows`)"}
            )
            return dict.fromkeys(keys, "a run that is not `sparse`") | alike
        paths = dict.fromkeys((f"mapping.residency.{key}" for key in OF_MATRICES), "a `sparse` run")
        policy = keeps.policy or POLICY
        if policy in names("rows") and not getattr(row_policy(policy), "windowed", True):
            paths |= dict.fromkeys(("mapping.residency.window", "workload.window"), f"the policy '{policy}'")
        elif keeps.window is not None:
            paths["workload.window"] = "a mapping that has a `window`"
        if policy in names("rows") and not keeps.pinned and getattr(row_policy(policy), "transient", False):
            paths["mapping.residency.gathered"] = f"the policy '{policy}', which keeps nothing,"
        if not work.drafted:
            paths["workload.acceptance"] = "a run without drafted tokens"
        if not keeps.bundled:
            paths["workload.bundle"] = "a mapping that is not `bundled`"
        if keeps.split is not None:
            paths |= dict.fromkeys(("mapping.residency.bundled", "workload.bundle"), "a mapping that has a `split`")
        return paths | {f"workload.{key}": why for key, why in work.unread.items()}

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work, keeps, deployed = scenario.workload, scenario.mapping.residency, deployment(scenario)
        assert isinstance(work, SparseFlash)
        if deployed.host:
            found = f"'{deployed.software.name}', whose host takes time for a pass"
            raise ConfigError(path=("mapping", "runtime"), found=found, expected="one without, such as 'ideal'")
        memory = _memory(scenario, deployed)
        check_context(deployed.model, float(work.input + (work.tokens if work.grows else 0)), "input")
        done, tokens = (_sparse if keeps.sparse else _dense)(scenario, deployed, memory)
        kept = _file(scenario, deployed)
        of_steps = ("total", "io", "memory", "compute", "dram", "asked", "read")
        means = {name: float(getattr(done, name).mean()) / (1 if name == "dram" else tokens) for name in of_steps}
        weights = weight_bytes(kept.model)
        return {
            **{f"{name}_s": means[name] for name in ("total", "io", "memory", "compute")},
            **{f"{name}_bytes": means[name] for name in ("dram", "asked", "read")},
            "tokens_per_s": 1 / means["total"],
            "io_share": means["io"] / means["total"],
            "dram_share": means["dram"] / weights,
            "held_share": float(done.held.mean()),
            "missed_share": float(done.missed.mean()) / tokens,
            "predictor_share": kept.predictor_bytes / weights,
            **_of_tiers(done, memory, len(done.io) * tokens),
            **costs_of(scenario, deployed.system, deployed.model),
        }


def _memory(scenario: Scenario, deployed: Deployment) -> Memory:
    system, keeps = deployed.system, scenario.mapping.residency
    flash, dram = tiers(scenario, system)
    manager = named(scenario, ("residency", "manager"), system.engines) if keeps.sparse else ""
    return Memory(deployed.engine, flash, dram, manager, keeps.threads, keeps.packed)


def _stored(scenario: Scenario, model: Model) -> Stored:
    """How a model lies in flash."""
    work, keeps = scenario.workload, scenario.mapping.residency
    assert isinstance(work, SparseFlash)
    if work.scales is not None:
        model = model.model_copy(update={"weight_scales": work.scales})
    with at_key("workload"):
        kept = stored(model, work.bundle if keeps.bundled else 1, work.ranks, keeps.split)
    return replace(kept, together=2 if keeps.together == "friends" else 1)


def _file(scenario: Scenario, deployed: Deployment) -> Stored:
    """The model in the format in which it lies in flash."""
    keeps = scenario.mapping.residency
    return _stored(scenario, deployed.model if keeps.sparse else in_formats(deployed.model, keeps.matrix_dtype))


def _dense(scenario: Scenario, deployed: Deployment, memory: Memory) -> tuple[Decoded, float]:
    work, kept = scenario.workload, _stored(scenario, deployed.model)
    assert isinstance(work, SparseFlash)
    context = work.input + np.arange(work.tokens, dtype=float) * work.grows
    return decode_dense(memory, kept, _file(scenario, deployed), context, scenario.mapping.residency.resident), 1.0


def _sparse(scenario: Scenario, deployed: Deployment, memory: Memory) -> tuple[Decoded, float]:
    """A run, and the tokens that a step of it gives on average."""
    work, keeps, kept = scenario.workload, scenario.mapping.residency, _stored(scenario, deployed.model)
    assert isinstance(work, SparseFlash)
    free = memory.system.capacity(memory.dram) - memory.system.tiers[memory.dram].reserved
    with at_key("mapping", "residency"):
        room = capacity(keeps, kept, free)
    keeping = Keeping(
        policy=keeps.policy or POLICY,
        window=work.window if keeps.window is None else keeps.window,
        capacity=room,
        pinned=int(keeps.pinned * kept.neurons),
        together=keeps.together,
        gathered=keeps.gathered,
        profiled=work.warm_up,
    )
    steps = _steps(work)
    came = _traffic(work, kept, keeping, steps)
    if cached := page_cache(memory, kept, came, keeping.transient):
        came = _traffic(work, kept, replace(keeping, cached=cached), steps)
    each = np.ones(came.held.shape[1])
    if isinstance(steps, SpeculativeSteps):
        each = np.array(steps.advance[-each.size :], dtype=float)
    context = work.input + (np.cumsum(each) - each) * work.grows
    done = decode_sparse(memory, kept, came, context, keeps.overlap, work.drafted, keeping.transient)
    return done, float(each.mean())


def _steps(work: SparseFlash) -> Steps:
    if not work.drafted:
        return token_steps
    advance = advances(work.warm_up + work.tokens, work.drafted, work.acceptance, work.seed)
    return SpeculativeSteps(work.drafted, work.acceptance, tuple(advance.tolist()))


def _traffic(work: SparseFlash, kept: Stored, keeping: Keeping, steps: Steps) -> NeuronTraffic:
    """The traffic of all layers once caches are full.

    Raises:
        ConfigError: layers that differ, of which one stands for all; no step after the warm-up.
    """
    one, layers = work.traced == "one", kept.model.layers
    with at_key("workload"):
        if one and not work.alike:
            key = "activity" if work.share_by_layer is None else "share_by_layer"
            found = "layers that differ, of which one is traced"
            raise ConfigError(path=key, found=found, expected="`traced: all`, or layers that are alike")
        trace = work.trace(1 if one else layers, kept.neurons, work.warm_up + work.tokens)
        warm_up = work.warm_up
        if isinstance(steps, SpeculativeSteps):
            warm_up = int(np.searchsorted(np.cumsum(steps.advance), warm_up))
            if warm_up >= len(steps.advance):
                raise ConfigError("no step is left to time", path="tokens", found=work.tokens, expected="more")
    with at_key("mapping", "residency"):
        came = vars(settled(held(trace, keeping, steps), warm_up))
    counts = {name: np.repeat(each, layers, axis=0) if one else each for name, each in came.items() if name != "pinned"}
    return NeuronTraffic(**counts, pinned=keeping.pinned)


def _of_tiers(done: Decoded, memory: Memory, tokens: float) -> dict[str, float]:
    """Bytes that each tier moves for a token, and joules; missing where the machine lacks the tier or the figure."""
    own = memory.target.tier
    tiers = dict(zip(TIERS, (memory.flash, memory.dram, None if own == memory.dram else own), strict=True))
    moved, terms = traffic(done.demand), {term.name: term.joules for term in energy(done.demand)}
    joules = {name: terms.get(tier, 0.0) if tier else None for name, tier in tiers.items()}
    return {
        **{
            f"{name}_traffic_bytes": float(moved.get(tier, 0.0)) / tokens if tier else nan
            for name, tier in tiers.items()
        },
        **{f"{name}_energy_j": nan if each is None else float(each) / tokens for name, each in joules.items()},
    }
