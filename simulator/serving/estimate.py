"""The question that an architect asks first: how fast does this machine serve this model?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simulator.core import Plan, closed_form
from simulator.core.account import Term, bound_by, energy, joules
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.hardware.energy import missing, static_power
from simulator.mapping.parallelism import Parallelism, parallelism
from simulator.mapping.placement import Placement
from simulator.mapping.spill import Spill
from simulator.mapping.target import Target, target
from simulator.mapping.tensor_parallel import check_ways
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.serving.arrangement import resident, spilled
from simulator.serving.generation import Generation, mean_context
from simulator.serving.loaded import check_context, in_formats, loaded
from simulator.serving.speculative import Speculation, speculate
from simulator.workload import Model, load_model

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
    energy: tuple[Term, ...]
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
        total = joules(self.energy)
        return None if total is None else float(total)

    @property
    def missing(self) -> tuple[str, ...]:
        """The keys that the machine's YAML lacks for the energy."""
        return missing(self.target.system, self.energy)

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
    if spill_order and not spill:
        raise ConfigError(path="spill_order", found=f"'{spill_order}'", expected="a run that spills")
    if spill and (speculation or not parallel.is_tensor):
        found = "a draft, stages or replicas"
        raise ConfigError(path="spill", found=found, expected="all devices tensor parallel alone")
    if spill:
        laid = spilled(runner, parallel, model, batch, input, output, spill_order)
    else:
        laid = resident(runner, parallel, model, batch, input, output, speculation)
    asked: dict[str, Any] = {"batch": batch, "input": input, "output": output, "devices": runner.ways}
    if spill:
        asked |= {"spill": True, "spill_order": laid.spill.order if laid.spill else spill_order}
    elif not parallel.is_tensor:
        asked |= {"parallelism": asdict(parallel)}
    if speculation:
        asked |= {"speculation": speculation.as_dict(), "draft": speculation.draft.model_dump()}
    run, step = laid.run, laid.passes.step(mean_context(input, output))
    return Estimate(
        target=runner,
        model=model,
        batch=batch,
        input=input,
        output=output,
        ttft_s=run.ttft,
        tbt_s=float(closed_form(step).time) / laid.passes.tokens,
        e2e_s=run.seconds,
        tokens_per_s=batch * output / run.seconds,
        bound_by={"ttft": bound_by(run.prefill), "tbt": bound_by(step)},
        energy=(*energy(run.demand(), parallel.data), *energy(static_power(system, run.seconds))),
        placement=laid.placement,
        most=laid.most,
        run=run,
        decode=step,
        parallelism=parallel,
        speculation=speculation,
        spill=laid.spill,
        provenance=Provenance({"hardware": system.config.data, "model": model.model_dump(), "estimate": asked}),
    )
