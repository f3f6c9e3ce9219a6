"""The question that an architect asks first: how fast does this machine serve this model?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.core import Plan, closed_form
from simulator.core.breakdown import binding
from simulator.errors import ConfigError, nearest, one_of
from simulator.hardware import System, load_system
from simulator.mapping.lowering import Target, model_plan, target
from simulator.mapping.placement import Placement, max_batch, max_context, place
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.serving.energy import EnergyPart, energy
from simulator.serving.generation import Generation, generate
from simulator.workload import Model, decode, load_model
from simulator.workload.dtypes import BYTES_PER_ELEMENT
from simulator.workload.model import Dtypes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Result):
    """One static batch: `batch` prompts of `input` tokens that each get `output` tokens.

    Attributes:
        ttft_s: time to first token: the prefill of the whole batch.
        tbt_s: time between tokens at the mean context, `input + (output - 2) / 2` (of the next one if output is 1).
        e2e_s: the prefill and each of the `output - 1` decode steps at its own context.
        tokens_per_s: output tokens of all sequences over `e2e_s`.
        bound_by: what binds most of the time, for `ttft` and `tbt`: a resource, or `latency`.
        energy: dynamic and static energy of the whole run, term by term.
        placement: bytes in main memory.
        max_batch, max_context: the largest batch at this context, and context at this batch, that fit.
        run: the plans behind `ttft_s` and `e2e_s`.
        decode: the plan behind `tbt_s`.
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
    max_batch: int
    max_context: int
    run: Generation
    decode: Plan
    provenance: Provenance

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
        main, system = self.placement, self.target.system
        return {
            "hardware": system.name,
            "devices": self.target.ways,
            "engine": self.target.name,
            "model": self.model.name,
            "batch": self.batch,
            "input": self.input,
            "output": self.output,
            "ttft_s": self.ttft_s,
            "tbt_s": self.tbt_s,
            "e2e_s": self.e2e_s,
            "tokens_per_s": self.tokens_per_s,
            "bound_by": self.bound_by,
            "energy_j": self.energy_j,
            "energy_missing": list(self.missing),
            "tiers": {
                name: {
                    "weights_bytes": main.weights if name == main.tier else 0.0,
                    "kv_bytes": main.kv if name == main.tier else 0.0,
                    "capacity_bytes": system.capacity(name),
                }
                for name in system.tiers
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
    memory: str | None = None,
    overrides: Sequence[str] = (),
) -> Estimate:
    """Closed-form times of one static batch, tensor parallel over all devices of the machine.

    The first token comes from the prefill; step i = 1 .. output - 1 decodes over `input + i - 1` tokens of context.
    `devices` is how many devices, of all nodes, share the model; `dtype` the format of weights and of products with
    them, and of the rest if it is no narrower than 16 bits; `memory` the tier for weights and KV caches, the first
    off-chip one that the engine reads unless given; `overrides` are `path.to.key=value` of the machine, or of the model
    behind `model.`, where these are given by name.

    Raises:
        ConfigError: a batch or length below 1, or beyond what the model was made for; a wrong name or override.
        CapacityError: weights and KV caches do not fit.
    """
    for name, value in (("batch", batch), ("input", input), ("output", output)):
        if not isinstance(value, int) or value < 1:
            raise ConfigError(
                path=name, found=value, expected="1 or more" if isinstance(value, int) else "a whole number"
            )
    system, model = loaded(hardware, model, devices, dtype, overrides)
    if input + output > model.max_context:
        expected = f"at most the {model.max_context} that {model.name} was made for"
        raise ConfigError("input + output", found=f"{input} + {output} tokens", expected=expected)
    runner = target(system, memory=memory)
    placement = place(runner, model, batch, input + output)
    run = generate(runner, model, batch, input, output)
    typical = model_plan(runner, model, decode(batch, input + max(output - 2, 0) / 2))
    asked = {"batch": batch, "input": input, "output": output, "devices": runner.ways}
    return Estimate(
        target=runner,
        model=model,
        batch=batch,
        input=input,
        output=output,
        ttft_s=run.ttft,
        tbt_s=float(closed_form(typical).time),
        e2e_s=run.seconds,
        tokens_per_s=batch * output / run.seconds,
        bound_by={"ttft": next(iter(binding(run.prefill))), "tbt": next(iter(binding(typical)))},
        energy=energy(system, run),
        placement=placement,
        max_batch=max_batch(runner, model, input + output),
        max_context=max_context(runner, model, batch),
        run=run,
        decode=typical,
        provenance=Provenance({"hardware": system.config.data, "model": model.model_dump(), "estimate": asked}),
    )


def loaded(
    hardware: System | str | Path,
    model: Model | str | Path,
    devices: int | None,
    dtype: str | None,
    overrides: Sequence[str],
) -> tuple[System, Model]:
    """The machine with so many devices, and the model in a number format, each by name unless it is loaded already.

    Raises:
        ConfigError: an override of a machine or a model that is loaded already, where it comes too late.
    """
    of_model = [o.removeprefix("model.") for o in overrides if o.startswith("model.")]
    of_hardware = [o.removeprefix("hardware.") for o in overrides if not o.startswith("model.")]
    for what, late in ((hardware, of_hardware), (model, of_model)):
        if late and isinstance(what, System | Model):
            raise ConfigError(
                "the override comes too late", found=late[0], expected="a name, or it when that was loaded"
            )
    system = hardware if isinstance(hardware, System) else load_system(hardware, of_hardware)
    if not isinstance(model, Model):
        try:
            model = load_model(model, of_model)
        except ConfigError as error:
            if str(error.file) == "--set" and not isinstance(error.path, str):
                error.path = ("model", *(error.path or ()))
            raise
    if devices is not None:
        device, _ = system.device()
        there = system.count(device)
        if devices > there:
            expected = f"at most {there}; a larger machine is --set devices.{device}.count={devices}"
            raise ConfigError(f"{system.name} has {there} {device}", path="devices", found=devices, expected=expected)
        system = system.with_devices(devices)
    if dtype is not None:
        if dtype not in BYTES_PER_ELEMENT:
            close = nearest(dtype, BYTES_PER_ELEMENT)
            raise ConfigError(path="dtype", found=f"'{dtype}'", expected=one_of(BYTES_PER_ELEMENT), nearest=close)
        narrow = BYTES_PER_ELEMENT[dtype] < 2
        changed = ("weights", "compute") if narrow else tuple(Dtypes.model_fields)
        model = model.model_copy(update={"dtypes": model.dtypes.model_copy(update=dict.fromkeys(changed, dtype))})
    return system, model
