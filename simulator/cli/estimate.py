"""`tiersim estimate`: the question that an architect asks first."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import (
    Batch,
    Devices,
    Dtype,
    Hardware,
    Json,
    Kv,
    MachineOverrides,
    ModelName,
    at_least_one,
    known_order,
    number,
)
from simulator.cli.output import console, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from simulator.core import Plan
    from simulator.serving.estimate import Estimate
    from simulator.workload import Model


def command(
    hardware: Hardware,
    model: ModelName,
    batch: Batch = 1,
    input: Annotated[int, typer.Option("--input", callback=at_least_one, help="Tokens of each prompt.")] = 512,
    output: Annotated[int, typer.Option("--output", callback=at_least_one, help="Tokens for each prompt.")] = 128,
    devices: Devices = None,
    dtype: Dtype = None,
    kv: Kv = None,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory", metavar="TIER", help="The tier for weights and KV caches; the first that has them by default."
        ),
    ] = None,
    spill: Annotated[
        bool, typer.Option("--spill", help="Put what main memory cannot hold into the next tier that the engine reads.")
    ] = False,
    spill_order: Annotated[
        str | None,
        typer.Option(
            "--spill-order",
            callback=known_order,
            help="weights_last or traffic_per_byte: what goes first; the faster by default.",
        ),
    ] = None,
    overrides: MachineOverrides = None,
    pipeline: Annotated[
        int, typer.Option("--pipeline", callback=at_least_one, help="Stages, each with some of the layers.")
    ] = 1,
    data: Annotated[
        int, typer.Option("--data", callback=at_least_one, help="Replicas of the model, which share the batch.")
    ] = 1,
    draft: Annotated[
        str | None,
        typer.Option("--draft", metavar="MODEL", help="A model that drafts tokens for it (speculative decoding)."),
    ] = None,
    drafted: Annotated[int, typer.Option("--drafted", callback=at_least_one, help="Tokens drafted a step.")] = 4,
    acceptance: Annotated[
        float | None,
        typer.Option("--acceptance", callback=number, help="The rate at which drafted tokens are accepted."),
    ] = None,
    accepted_length: Annotated[
        float | None,
        typer.Option("--accepted-length", callback=number, help="Or the tokens that a step gives on average."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print the equation behind each figure.")] = False,
    json: Json = False,
) -> None:
    """Estimate TTFT, TBT, energy and what fits.

    In closed form, for one static batch on an idle machine; all devices share each layer (tensor parallel) unless
    --pipeline or --data divide them.
    """
    import simulator

    answer = simulator.estimate(
        hardware, model, batch, input, output, devices=devices, dtype=dtype, kv=kv, memory=memory,
        overrides=overrides or (), pipeline=pipeline, data=data, draft=draft, drafted=drafted, acceptance=acceptance,
        accepted_length=accepted_length, spill=spill, spill_order=spill_order,
    )  # fmt: skip
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


def _title(answer: Estimate) -> str:
    target, model, parallel, speculation = answer.target, answer.model, answer.parallelism, answer.speculation
    said = f"{parallel.devices} x {target.name}"
    if not parallel.is_tensor:
        said += f", tensor {parallel.tensor} x pipeline {parallel.pipeline} x data {parallel.data}"
    drafts = ""
    if speculation:
        drafts = f", {speculation.drafted} drafted by {speculation.draft.name}, {speculation.length:.3g} a step"
    return (
        f"{model.name} ({_formats(model)}) on {target.system.name} ({said}): "
        f"batch {answer.batch}, {answer.input:,} tokens in, {answer.output:,} out{drafts}\n"
    )


def _formats(model: Model) -> str:
    """What weights and KV cache lie in, and what products with weights compute in."""
    dtypes = model.dtypes
    return f"weights {dtypes.weights}, KV {dtypes.kv}, computes in {dtypes.products}"


def _figures(answer: Estimate) -> Table:
    from rich.table import Table

    from simulator.units import show

    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim", overflow="fold")
    table.add_row("TTFT", show(answer.ttft_s, "s"), f"bound by {_binding(answer.run.prefill)}")
    table.add_row("TBT", show(answer.tbt_s, "s"), f"bound by {_binding(answer.decode)}")
    table.add_row("E2E", show(answer.e2e_s, "s"), f"{answer.output:,} tokens for each of {answer.batch:,}")
    table.add_row("throughput", f"{answer.tokens_per_s:,.4g} tok/s", "all sequences together")
    if answer.energy_j is None:
        first, *more = answer.missing
        others = f" and {len(more)} more, see --json" if more else ""
        table.add_row("energy", "unknown", f"{answer.target.system.name} lacks {first}{others}")
    else:
        token = show(answer.energy_j / (answer.batch * answer.output), "J")
        table.add_row("energy", show(answer.energy_j, "J"), f"{token} a token, {_power(answer.energy_j, answer)}")
    return table


def _binding(plan: Plan) -> str:
    """What binds, each with its share of the time; what is under 5 % is left out."""
    from simulator.core.breakdown import binding

    seconds = binding(plan)
    total = sum(seconds.values())
    first, *others = seconds
    told = [first, *(name for name in others if seconds[name] >= 0.05 * total)]
    return ", ".join(f"{name} {seconds[name] / total:.0%}" for name in told)


def _power(energy: float, answer: Estimate) -> str:
    from simulator.units import show

    return f"{show(energy / answer.e2e_s, 'W')} on average"


def _memory(answer: Estimate) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

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
        bar: RenderableType = ProgressBar(total=1.0, completed=share, width=20, complete_style="green")
        said = f"of {show(capacity, 'B')}"
        if held:
            said = f"{share:.1%} {said}: weights {show(weights, 'B')}, keys and values {show(kv, 'B')}"
            said += f", activations {show(active, 'B')}"
        table.add_row(name, show(held, "B"), bar, said)
    return table


def _largest(answer: Estimate) -> str:
    made_for = " (all that the model was made for)" if answer.max_context == answer.model.max_context else ""
    return (
        f"fits: batch {answer.max_batch:,} at {answer.input + answer.output:,} tokens each, "
        f"or {answer.max_context:,} tokens each{made_for} at batch {answer.batch:,}"
    )
