"""What stands behind the metrics of a static batch: where it lies, its plans and its energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from simulator.core import Plan
from simulator.core.account import Term, bound_by, joules
from simulator.hardware.energy import missing
from simulator.mapping.deployment import Deployment
from simulator.mapping.footprint.footprint import Footprint
from simulator.mapping.target import Target
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.scenario.batch_parts import Part, Phase, error_of, parts_of, terms_of, timed, times_of
from simulator.scenario.batch_turns import Turns, turns
from simulator.scenario.costs import costs_of
from simulator.scenario.form import Scenario
from simulator.workload import Model

if TYPE_CHECKING:
    import pandas as pd

KINDS: tuple[Literal["weights", "kv", "activations"], ...] = ("weights", "kv", "activations")


class Lengths(Protocol):
    """A workload of one static batch."""

    @property
    def phase(self) -> Phase: ...
    @property
    def batch(self) -> int: ...
    @property
    def input(self) -> int: ...
    @property
    def output(self) -> int: ...


@dataclass(frozen=True, eq=False, repr=False)
class BatchDetail(Result):
    """One static batch: `batch` prompts of `input` tokens that each get `output` tokens.

    Attributes:
        scenario: what was asked.
        deployment: the mapping on the machine.
        footprint: what lies in which tier, and the most that would fit there.
        parts: the prefill, a decode step at the mean context, and all steps of a request, as far as the phase has them;
            plans are of one replica.
        times: `ttft_s`, `tbt_s`, `e2e_s`, `tokens_per_s`, NaN where the phase has none.
        energy: dynamic and static energy of all devices, term by term.
        batches: that it takes, one after another, where it does not fit at once and the runtime serves it so; the parts
            are then of the first.
        costs: die area, price and peak power by the scenario's table, NaN of what is not known; empty without one.
    """

    scenario: Scenario
    work: Lengths
    deployment: Deployment
    footprint: Footprint
    parts: Mapping[str, Part]
    times: Mapping[str, float]
    energy: tuple[Term, ...]
    costs: Mapping[str, float]
    provenance: Provenance
    batches: int = 1

    @property
    def engine(self) -> Target:
        """The engine that stands for the deployment."""
        return self.deployment.engine

    @property
    def model(self) -> Model:
        return self.deployment.model

    @property
    def batch(self) -> int:
        return self.work.batch

    @property
    def input(self) -> int:
        return self.work.input

    @property
    def output(self) -> int:
        return self.work.output

    @property
    def ttft_s(self) -> float:
        """Seconds to the first token: of the prefill of the whole batch."""
        return self.times["ttft_s"]

    @property
    def tbt_s(self) -> float:
        """Seconds between tokens at the mean context."""
        return self.times["tbt_s"]

    @property
    def e2e_s(self) -> float:
        """Seconds of the prefill and of each step at its own context."""
        return self.times["e2e_s"]

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second of all sequences."""
        return self.times["tokens_per_s"]

    @property
    def plan(self) -> Plan:
        """The plan that the phase times; of a request its steps folded at their mean context."""
        if self.work.phase != "request":
            return self.parts[self.work.phase].plan
        plan = Plan(self.model.name)
        plan.add(self.parts["prefill"].plan)
        if self.output > 1:
            plan.add(self.parts["decode"].plan, repeat=self.output - 1)
        return plan

    @property
    def bound_by(self) -> dict[str, str]:
        """What binds most of the time, a resource or `latency`, for `ttft` and `tbt`."""
        named = {"ttft": "prefill", "tbt": "decode"}
        return {figure: bound_by(self.parts[part].plan) for figure, part in named.items() if part in self.parts}

    @cached_property
    def max_batch(self) -> int:
        """The largest batch that fits at these lengths."""
        return self.footprint.max_batch()

    @cached_property
    def max_context(self) -> int:
        """The longest context, of a prompt and its answer of this length, that fits at this batch."""
        return self.footprint.max_context()

    @cached_property
    def energy_j(self) -> float | None:
        """Joules of the phase; None where the machine lacks a figure."""
        total = joules(self.energy)
        return None if total is None else float(total)

    @property
    def energy_per_token_j(self) -> float | None:
        """Joules a token; None where the machine lacks a figure."""
        tokens = self.batch * (self.output if self.work.phase == "request" else self.parts[self.work.phase].tokens)
        return None if self.energy_j is None else self.energy_j / tokens

    @property
    def power_w(self) -> float | None:
        """Watts in the mean over the phase; None where the machine lacks a figure."""
        return None if self.energy_j is None else self.energy_j / self.seconds

    @property
    def seconds(self) -> float:
        """How long the phase takes, all its batches together."""
        if self.work.phase == "request":
            return self.e2e_s
        return float(sum(part.seconds for part in timed(self.parts, self.work.phase)))

    @property
    def expected_error(self) -> float | None:
        """The share by which the time of the phase may be off; None where no models time its kernels."""
        share = float(error_of(self.deployment, self.parts, self.work.phase))
        return share if share == share else None

    @property
    def missing(self) -> tuple[str, ...]:
        """The keys that the machine's YAML lacks for the energy."""
        return missing(self.deployment.system, self.energy)

    def as_json(self) -> dict[str, Any]:
        system, dtypes = self.deployment.system, self.model.dtypes
        speculation = self.deployment.draft
        return {
            "hardware": system.name,
            "devices": self.deployment.parallel.devices,
            "parallelism": asdict(self.deployment.parallel),
            "experts": "whole" if self.deployment.shares_experts else None,
            "engine": self.engine.name,
            "engines": [engine.name for engine in self.deployment.engines],
            "runtime": self.deployment.software.name,
            "model": self.model.name,
            "formats": {
                "weights": dtypes.weights, "kv": dtypes.kv,
                "activations": dtypes.activations, "compute": dtypes.products,
            },
            "phase": self.work.phase,
            "batch": self.batch,
            "batches": self.batches,
            "input": self.input,
            "output": self.output,
            "speculation": speculation and speculation.as_dict(),
            **{name: value if value == value else None for name, value in self.times.items()},
            "expected_error": self.expected_error,
            "bound_by": self.bound_by,
            "energy_j": self.energy_j,
            "energy_missing": list(self.missing),
            **{name: value if value == value else None for name, value in self.costs.items()},
            "tiers": {name: self._tier(name) for name in system.tiers},
            "max_batch": self.max_batch,
            "max_context": self.max_context,
            "provenance": self.provenance.as_dict(),
        }  # fmt: skip

    def _tier(self, name: str) -> dict[str, float]:
        """Bytes of weights, of keys and values, and of activations in a tier, and its capacity."""
        held = self.footprint.tiers.get(name)
        kinds = {f"{kind}_bytes": float(getattr(held, kind)) if held else 0.0 for kind in KINDS}
        return {**kinds, "capacity_bytes": self.deployment.system.capacity(name)}

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        figures = {k: v for k, v in self.as_json().items() if isinstance(v, int | float | str)}
        return {"estimate": pd.DataFrame([figures])}


def batch_detail(scenario: Scenario, deployed: Deployment, work: Lengths) -> BatchDetail:
    """A batch as it lies in memory, and as it runs.

    Raises:
        ConfigError: a context that the models were not made for; a batch that the mapping cannot serve.
        CapacityError: it does not fit.
    """
    batch, input, output = work.batch, work.input, work.output
    footprint = deployed.footprint(batch, input, output)
    served_in = turns(deployed, work.phase, batch, input, output, footprint.fits)
    if served_in.size < 1:
        footprint.check()
    size, rest = int(served_in.size), int(served_in.rest)
    parts = parts_of(deployed, work.phase, size, input, output, many=False)
    times = {name: float(value) for name, value in times_of(parts, work.phase, size, output).items()}
    terms = terms_of(deployed, parts, work.phase)
    if served_in.batches > 1:
        last = parts_of(deployed, work.phase, rest or size, input, output, many=False)
        times, terms = _in_turns(deployed, (parts, last), served_in, work, times, terms)
    mapping = scenario.mapping.model_dump(exclude_defaults=True, exclude={"devices"}) | asdict(deployed.parallel)
    mapping |= {"spill_order": footprint.spill.order} if footprint.spill else {}
    made_from = {
        "hardware": deployed.system.config.data, "models": [model.model_dump() for model in deployed.models],
        "mapping": mapping, "workload": scenario.workload.model_dump(),
    }  # fmt: skip
    costs = costs_of(scenario, deployed.system, deployed.model) if scenario.costs else {}
    costs = {name: float(value) for name, value in costs.items()}
    made = Provenance(made_from)
    batches = int(served_in.batches)
    return BatchDetail(scenario, work, deployed, footprint, parts, times, terms, costs, made, batches)


def _in_turns(
    deployed: Deployment,
    parts: tuple[Mapping[str, Part], Mapping[str, Part]],
    served_in: Turns,
    work: Lengths,
    times: Mapping[str, float],
    terms: tuple[Term, ...],
) -> tuple[dict[str, float], tuple[Term, ...]]:
    """Times and energy of full batches and of the rest, one after another, by the `parts` of each."""
    full, some = float(served_in.full), float(served_in.rest > 0)
    last = terms_of(deployed, parts[1], work.phase)
    left = {term.name: term.amount for term in last}
    seconds = full * times["e2e_s"] + some * sum(part.seconds for part in timed(parts[1], work.phase))
    rates = {"e2e_s": seconds, "tokens_per_s": work.batch * work.output / seconds}
    both = (replace(term, amount=full * term.amount + some * left.get(term.name, 0.0)) for term in terms)
    return {**times, **rates}, tuple(both)
