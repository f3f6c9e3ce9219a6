"""The question that an architect asks first: how fast does this machine serve this model?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.config import Config, Mark, validate
from simulator.core import Plan, closed_form
from simulator.core.breakdown import binding
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.deployment import Deployment, resolve
from simulator.mapping.footprint import Footprint
from simulator.mapping.form import MappingForm
from simulator.mapping.held import Held
from simulator.mapping.parallelism import Parallelism
from simulator.mapping.passes import mean_context
from simulator.mapping.speculative import Speculation
from simulator.mapping.spill import Spill, tiers_behind
from simulator.mapping.target import Target, target
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.serving.energy import EnergyPart, energy
from simulator.serving.generation import Generation, generated
from simulator.serving.loaded import loaded
from simulator.workload import Model

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
        deployment: who serves it.
        footprint: bytes in main memory, and in the tier that it spills to.
        run: the plans behind `ttft_s` and `e2e_s`.
        decode: the plan behind `tbt_s`, of one step.
    """

    deployment: Deployment
    batch: int
    input: int
    output: int
    ttft_s: float
    tbt_s: float
    e2e_s: float
    tokens_per_s: float
    bound_by: dict[str, str]
    energy: tuple[EnergyPart, ...]
    footprint: Footprint
    run: Generation
    decode: Plan
    provenance: Provenance

    @property
    def target(self) -> Target:
        return self.deployment.engine

    @property
    def model(self) -> Model:
        return self.deployment.model

    @property
    def parallelism(self) -> Parallelism:
        """How the devices share the model; `run` and `decode` are of one replica."""
        return self.deployment.parallel

    @property
    def speculation(self) -> Speculation | None:
        return self.deployment.draft

    @property
    def spill(self) -> Spill | None:
        """What lies where, with main memory and the tier behind it; None where all is in main memory."""
        return self.footprint.spill

    @cached_property
    def placement(self) -> Held:
        """Bytes in main memory, and in the tier that it spills to."""
        return self.footprint.total

    @cached_property
    def max_batch(self) -> int:
        """The largest batch that fits at these lengths."""
        return self.footprint.max_batch()

    @cached_property
    def max_context(self) -> int:
        """The longest context, of a prompt and its answer of this length, that fits at this batch."""
        return self.footprint.max_context()

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
        system = self.deployment.system
        return {
            "hardware": system.name,
            "devices": self.parallelism.devices,
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
                    "weights_bytes": held.weights if held else 0.0,
                    "kv_bytes": held.kv if held else 0.0,
                    "activations_bytes": held.activations if held else 0.0,
                    "capacity_bytes": system.capacity(name),
                }
                for name, held in ((name, self.footprint.tiers.get(name)) for name in system.tiers)
            },
            "max_batch": self.max_batch,
            "max_context": self.max_context,
            "provenance": self.provenance.as_dict(),
        }

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
    or so many that a step gives `accepted_length` tokens (`mapping/speculative.py`). With `spill`, what main memory
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
    system, model = loaded(hardware, model, overrides)
    behind = None
    if spill:
        runner = target(system, memory=memory, dtype=model.dtypes.products)
        behind = next(iter(tiers_behind(runner)), "")
    form = _form(
        devices=devices, tensor=tensor, pipeline=pipeline, data=data, memory=memory, dtype=dtype, kv=kv, spill=behind,
        spill_order=spill_order, draft=_draft(draft, drafted, acceptance, accepted_length),
    )  # fmt: skip
    deployment = resolve(form, system, model, draft if isinstance(draft, Model) else None)
    passes, footprint = deployment.passes(batch, input, output), deployment.footprint(batch, input, output)
    footprint.check()
    run, step = generated(passes, input, output), passes.step(mean_context(input, output))
    return Estimate(
        deployment=deployment,
        batch=batch,
        input=input,
        output=output,
        ttft_s=run.ttft,
        tbt_s=float(closed_form(step).time) / passes.tokens,
        e2e_s=run.seconds,
        tokens_per_s=batch * output / run.seconds,
        bound_by={"ttft": next(iter(binding(run.prefill))), "tbt": next(iter(binding(step)))},
        energy=energy(deployment.system, run, deployment.parallel.data),
        footprint=footprint,
        run=run,
        decode=step,
        provenance=_provenance(deployment, form, footprint),
    )


def _provenance(deployment: Deployment, form: MappingForm, footprint: Footprint) -> Provenance:
    models = [model.model_dump() for model in deployment.models]
    asked = {key: getattr(footprint, key) for key in ("batch", "input", "output")}
    asked |= form.model_dump(exclude_defaults=True, exclude={"devices"}) | asdict(deployment.parallel)
    asked |= {"spill_order": footprint.spill.order} if footprint.spill else {}
    return Provenance({"hardware": deployment.system.config.data, "models": models, "estimate": asked})


def _draft(
    draft: Model | str | Path | None, drafted: int, acceptance: float | None, accepted_length: float | None
) -> dict[str, Any] | None:
    if draft is None:
        if acceptance is not None or accepted_length is not None:
            raise ConfigError(path="draft", found="none", expected="a model that drafts what is accepted")
        return None
    name = draft.name if isinstance(draft, Model) else str(draft)
    return {"model": name, "tokens": drafted, "acceptance": acceptance, "accepted_length": accepted_length}


def _form(**keys: Any) -> MappingForm:
    """The mapping of these keys; what is wrong with one is told by its name alone."""
    place = Path("mapping")
    try:
        return validate(Config(place, keys, {(): Mark(place, 1)}, {}), MappingForm)
    except ConfigError as error:
        error.file = None
        raise
