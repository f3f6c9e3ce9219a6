"""The question that an architect asks first: how fast does this machine serve this model?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.core import Plan, closed_form
from simulator.core.breakdown import binding, dynamic_energy
from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.mapping.lowering import Target, model_plan, target
from simulator.mapping.placement import Placement, max_batch, max_context, place
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.serving.generation import Generation, generate, summed
from simulator.workload import Model, decode, load_model

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Estimate(Result):
    """One static batch: `batch` prompts of `input` tokens that each get `output` tokens.

    Attributes:
        ttft_s: time to first token: the prefill of the whole batch.
        tbt_s: time between tokens at the mean context, `input + (output - 2) / 2`.
        e2e_s: the prefill and each of the `output - 1` decode steps at its own context.
        tokens_per_s: output tokens of all sequences over `e2e_s`.
        bound_by: what binds most of the time, for `ttft` and `tbt`: a resource, or `latency`.
        energy_j: dynamic and static energy of the whole run; None where the machine lacks a figure.
        missing: the keys that the machine's YAML lacks for the energy.
        placement: bytes in main memory.
        max_batch, max_context: the largest batch at this context, and context at this batch, that fit.
        prefill, decode: the plans behind `ttft_s` and `tbt_s`.
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
    energy_j: float | None
    missing: tuple[str, ...]
    placement: Placement
    max_batch: int
    max_context: int
    prefill: Plan
    decode: Plan
    provenance: Provenance

    def as_json(self) -> dict[str, Any]:
        main, system = self.placement, self.target.system
        return {
            "hardware": system.name,
            "devices": self.target.ways,
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
    overrides: Sequence[str] = (),
) -> Estimate:
    """Closed-form times of one static batch, tensor parallel over all devices of the machine.

    The first token comes from the prefill; step i = 1 .. output - 1 decodes over `input + i - 1` tokens of context.
    `devices` is how many devices share the model; `dtype` the format of all operands; `overrides` are
    `path.to.key=value` of the machine, or of the model behind `model.`, where these are given by name.

    Raises:
        ConfigError: a batch or length below 1, or beyond what the model was made for; a wrong name or override.
        CapacityError: weights and KV caches do not fit.
    """
    for name, value in (("batch", batch), ("input", input), ("output", output)):
        if value < 1:
            raise ConfigError(path=name, found=value, expected="1 or more")
    system, model = loaded(hardware, model, devices, dtype, overrides)
    if input + output > model.max_context:
        expected = f"at most the {model.max_context} that {model.name} was made for"
        raise ConfigError("input + output", found=f"{input} + {output} tokens", expected=expected)
    runner = target(system)
    placement = place(runner, model, batch, input + output)
    run = generate(runner, model, batch, input, output)
    typical = model_plan(runner, model, decode(batch, input + max(output - 2, 0) / 2))
    energy, missing = _energy(system, run)
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
        energy_j=energy,
        missing=missing,
        placement=placement,
        max_batch=max_batch(runner, model, input + output),
        max_context=max_context(runner, model, batch),
        prefill=run.prefill,
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
    """The machine with so many devices, and the model in so many bits, each by name unless it is loaded already."""
    of_model = [o.removeprefix("model.") for o in overrides if o.startswith("model.")]
    of_hardware = [o.removeprefix("hardware.") for o in overrides if not o.startswith("model.")]
    if dtype is not None:
        of_model[:0] = [f"dtypes={{weights: {dtype}, activations: {dtype}, kv: {dtype}, compute: {dtype}}}"]
    system = hardware if isinstance(hardware, System) else load_system(hardware, of_hardware)
    if devices is not None:
        system = system.with_devices(devices)
    return system, model if isinstance(model, Model) else load_model(model, of_model)


def _energy(system: System, run: Generation) -> tuple[float | None, tuple[str, ...]]:
    """`sum(demand energy) + static power x time` over all devices; the keys of the figures that are missing."""
    total = 0.0
    missing: dict[str, None] = {}
    for plan, steps in run.over_steps():
        for resource, joules in dynamic_energy(plan).items():
            if joules is None:
                key = system.key(resource.name)
                missing[".".join((*key, "energy_per_flop" if "engines" in key else "energy"))] = None
            else:
                total += summed(joules, steps)
    machine = system.machine
    powers = [("static_power", machine.static_power, machine.nodes)]
    powers += [(f"devices.{n}.static_power", d.static_power, system.count(n)) for n, d in machine.devices.items()]
    for name, power, count in powers:
        if power is None:
            missing[name] = None
        else:
            total += power * count * run.seconds
    return (None if missing else total), tuple(missing)
