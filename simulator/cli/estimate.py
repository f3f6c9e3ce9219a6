"""`tiersim estimate`: the question that an architect asks first."""

from __future__ import annotations

from dataclasses import asdict
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.mapping_options import with_mapping
from simulator.cli.options import Json, MachineOverrides, ScenarioOnly, at_least_one
from simulator.cli.output import console, print_json
from simulator.cli.scenario import options_scenario, print_scenario
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from simulator.core import Plan
    from simulator.mapping.target import Target
    from simulator.scenario.batch_detail import BatchDetail
    from simulator.scenario.form import Scenario
    from simulator.scenario.metric import Metric
    from simulator.workload import Model


MAPPING = (
    "devices", "engines", "parallel", "tensor", "pipeline", "context", "data", "expert", "experts", "memory", "spill",
    "spill_order", "placement", "block", "dtype", "kv", "activations", "compute", "fusion", "runtime", "kernels",
    "calibration", "dispatch", "draft",
)  # fmt: skip


@with_mapping(MAPPING)
def command(
    file: Annotated[
        str | None, typer.Argument(metavar="[SCENARIO]", help="A scenario's YAML; options replace what it says.")
    ] = None,
    hardware: Annotated[str | None, typer.Option("--hardware", help="A machine, by name or path.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="A model, by name or path (config.json too).")] = None,
    phase: Annotated[
        str | None, typer.Option("--phase", help="prefill, decode or request, which is the default.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", callback=at_least_one, help="Sequences at once.")] = None,
    input: Annotated[
        int | None, typer.Option("--input", callback=at_least_one, help="Tokens of each prompt; 512 by default.")
    ] = None,
    output: Annotated[
        int | None, typer.Option("--output", callback=at_least_one, help="Tokens for each prompt; 128 by default.")
    ] = None,
    overrides: MachineOverrides = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print the equation behind each figure.")] = False,
    scenario: ScenarioOnly = False,
    json: Json = False,
    *,
    mapping: dict[str, Any],
) -> None:
    """Estimate TTFT, TBT, energy and what fits; or evaluate any scenario from its file.

    In closed form, for one static batch on an idle machine; all devices share each layer (tensor parallel) unless
    --pipeline, --context or --data divide them.
    """
    work = {"phase": phase, "batch": batch, "input": input, "output": output}
    with options_scenario(file, hardware, model, mapping, work, overrides or ()) as form:
        if scenario:
            print_scenario(form)
        elif form.workload.kind == "batch":
            _print_batch(form, explain, json)
        else:
            _print_metrics(form, explain, json)


def _print_batch(form: Scenario, explain: bool, json: bool) -> None:
    """What stands behind a static batch."""
    from simulator.scenario.evaluate import detailed

    answer = detailed(form)
    if json:
        document = answer.as_json()
        if explain:
            from simulator.report.explain import explain as explained

            document["explain"] = [asdict(line) for line in explained(answer)]
        print_json(document)
        return
    out = console()
    out.print(_title(answer), style="bold")
    out.print(_figures(answer), "", _memory(answer), "", _largest(answer), sep="\n")
    if explain:
        from simulator.cli.explain import explanation

        out.print(explanation(answer))


def _print_metrics(form: Scenario, explain: bool, json: bool) -> None:
    """The metrics of another kind of workload."""
    from simulator.scenario.evaluate import evaluate

    if explain:
        raise ConfigError(path="--explain", found=f"a workload of kind '{form.workload.kind}'", expected="batch")
    answer = evaluate(form)
    if json:
        print_json(answer.as_json())
        return
    from simulator.cli.metric_tables import metric_tables, spaced

    last = [("runtime", answer.runtime)] if answer.runtime else []
    console().print(spaced(metric_tables(answer.declared, answer.metrics, *last)))


def _title(answer: BatchDetail) -> str:
    deployed, model = answer.deployment, answer.model
    parallel, speculation, engines = deployed.parallel, deployed.draft, deployed.engines
    runs_on = f"{parallel.devices} x {' and '.join(engine.name for engine in engines)}"
    if not parallel.is_tensor:
        runs_on += f", tensor {parallel.tensor} x pipeline {parallel.pipeline} x data {parallel.data}"
        runs_on += f" x context {parallel.context}" if parallel.context > 1 else ""
    if deployed.shares_experts:
        runs_on += ", whole experts over all"
    if len(engines) > 1:
        runs_on += f", {deployed.dispatch}"
    drafts = ""
    if speculation:
        drafts = f", {speculation.drafted} drafted by {speculation.name}, {speculation.length:.3g} a step"
    turns = f" in {answer.batches} turns" if answer.batches > 1 else ""
    lengths = (
        f"{answer.input:,} patches each" if model.patches else f"{answer.input:,} tokens in, {answer.output:,} out"
    )
    return (
        f"{model.name} ({_formats(model, engines)}) on {deployed.system.name} ({runs_on}): "
        f"batch {answer.batch}{turns}, {lengths}{drafts}\n"
    )


def _formats(model: Model, engines: Iterable[Target]) -> str:
    """What weights and KV cache lie in, and what products with weights compute in, as the engines have rates."""
    from simulator.mapping.target import computed_in, rate_for

    dtypes, products = model.dtypes, model.dtypes.products
    peaks = [each.description.peak for each in engines]
    wide = dict.fromkeys(str(computed_in(peak, products)) for peak in peaks if rate_for(peak, products) is None)
    widened = f", widened to {' and '.join(wide)}" if wide else ""
    return f"weights {dtypes.weights}, KV {dtypes.kv}, computes in {products}{widened}"


def _figures(answer: BatchDetail) -> Table:
    from rich.table import Table

    from simulator.scenario.costs import METRICS as COSTS
    from simulator.units import show

    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim", overflow="fold")
    if "prefill" in answer.parts:
        table.add_row("TTFT", show(answer.ttft_s, "s"), f"bound by {_binding(answer.parts['prefill'].plan)}")
    if "decode" in answer.parts:
        table.add_row("TBT", show(answer.tbt_s, "s"), f"bound by {_binding(answer.parts['decode'].plan)}")
    if "steps" in answer.parts:
        table.add_row("E2E", show(answer.e2e_s, "s"), f"{answer.output:,} tokens for each of {answer.batch:,}")
    of, each = ("images/s", "all patches of each") if answer.model.patches else ("tok/s", "all sequences together")
    table.add_row("throughput", f"{answer.tokens_per_s:,.4g} {of}", each)
    token, power = answer.energy_per_token_j, answer.power_w
    if answer.energy_j is None or token is None or power is None:
        first, *more = answer.missing
        others = f" and {len(more)} more, see --json" if more else ""
        table.add_row("energy", "unknown", f"{answer.deployment.system.name} lacks {first}{others}")
    else:
        mean = f"{show(token, 'J')} a token, {show(power, 'W')} on average"
        table.add_row("energy", show(answer.energy_j, "J"), mean)
    assumed = "" if answer.scenario.mapping.runtime else "assumed, as --runtime names none"
    table.add_row("runtime", answer.deployment.software.name, assumed)
    if answer.expected_error is not None:
        table.add_row("kernels", f"± {answer.expected_error:.0%}", _constants(answer))
    for metric in COSTS:
        if metric.name in answer.costs:
            table.add_row(metric.label, *_cost(answer.costs[metric.name], metric))
    return table


def _constants(answer: BatchDetail) -> str:
    """Where the constants of modelled kernels are from."""
    known = answer.engine.models
    origins = dict.fromkeys(each.origin for each in known.used().values()) if known else {}
    named = ["the constants of their family" if each == "family" else each for each in sorted(origins)]
    return f"modelled by {' and '.join(named)}; if all erred one way, as they do in the median"


def _cost(value: float, metric: Metric) -> tuple[str, str]:
    """What a cost is, and of what."""
    from simulator.units import show

    of = f"of a {metric.per}" if metric.per else ""
    return ("unknown", "the machine lacks a figure") if value != value else (show(value, metric.unit), of)


def _binding(plan: Plan) -> str:
    """What binds, each with its share of the time; what is under 5 % is left out."""
    from simulator.core.account import binding

    shares = sorted(binding(plan).items(), key=itemgetter(1), reverse=True)
    total = sum(seconds for _, seconds in shares)
    largest = [shares[0], *(share for share in shares[1:] if share[1] >= 0.05 * total)]
    return ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in largest)


def _memory(answer: BatchDetail) -> Table:
    from rich.table import Table

    from simulator.cli.metric_tables import bar
    from simulator.units import show

    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column()
    table.add_column(style="dim", overflow="fold")
    for name, tier in answer.as_json()["tiers"].items():
        weights, kv, active = (tier[f"{kind}_bytes"] for kind in ("weights", "kv", "activations"))
        held, capacity = weights + kv + active, tier["capacity_bytes"]
        share = held / capacity
        text = f"of {show(capacity, 'B')}"
        if held:
            text = f"{share:.1%} {text}: weights {show(weights, 'B')}, keys and values {show(kv, 'B')}"
            text += f", activations {show(active, 'B')}"
        table.add_row(name, show(held, "B"), bar(share), text)
    return table


def _largest(answer: BatchDetail) -> str:
    if answer.model.patches:
        return f"fits: batch {answer.max_batch:,} at {answer.input:,} patches each"
    made_for = " (all that the model was made for)" if answer.max_context == answer.model.max_context else ""
    return (
        f"fits: batch {answer.max_batch:,} at {answer.input + answer.output:,} tokens each, "
        f"or {answer.max_context:,} tokens each{made_for} at batch {answer.batch:,}"
    )
