"""`tiersim capacity`: what a service carries under an objective."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from simulator.cli.mapping_options import with_mapping
from simulator.cli.options import Json, Overrides
from simulator.cli.output import console, print_json, status
from simulator.cli.scenario import options_scenario
from simulator.cli.simulate import MAPPING


@with_mapping(MAPPING)
def command(
    slo: Annotated[
        str, typer.Option("--slo", help="What must hold: `ttft_p99<2 s,tbt_p99<50 ms`.", show_default=False)
    ],
    scenario: Annotated[
        str | None, typer.Argument(metavar="[SCENARIO]", help="A scenario of requests.", show_default=False)
    ] = None,
    hardware: Annotated[str | None, typer.Option("--hardware", help="A machine that serves requests.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model that it serves.")] = None,
    trace: Annotated[str | None, typer.Option("--trace", help="A file of requests.")] = None,
    scheduler: Annotated[str | None, typer.Option("--scheduler", help="What chooses requests.")] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="Requests a second that are served, or where the search begins.")
    ] = None,
    fewest: Annotated[
        bool, typer.Option("--fewest", help="The fewest replicas, and their devices, for a rate.")
    ] = False,
    ratio: Annotated[
        int | None, typer.Option("--ratio", min=2, help="Of so many machines, how many compute prompts alone.")
    ] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", help="How far off the rate may be, as a share.")] = 0.02,
    overrides: Overrides = None,
    json: Json = False,
    *,
    mapping: dict[str, Any],
) -> None:
    """Find the highest rate that keeps an objective, the fewest replicas for a rate, or the best ratio for prompts.

    All trials serve the same requests, closer together or further apart.
    """
    import simulator

    section = {**mapping, **({"scheduler": {"kind": scheduler}} if scheduler else {})}
    work = {"kind": "requests", "trace": trace} if scenario is None else {"trace": trace}
    of: Any = "ratio" if ratio else "replicas" if fewest else "rate"
    with options_scenario(scenario, hardware, model, section, work, overrides or ()) as form, status("tried") as tell:
        answer = simulator.capacity(form, slo, of, rate, ratio, tolerance, progress=tell)
    if json:
        print_json(answer.as_json())
    else:
        console().print(answer)
