"""`tiersim fit`: figures of a machine from what was measured."""

from __future__ import annotations

from typing import Annotated

import typer

from simulator.cli.options import Json, Overrides
from simulator.cli.output import console, print_json, progress
from simulator.errors import ConfigError


def command(
    experiment: Annotated[str, typer.Argument(metavar="STUDY", help="A study, by name or path.", show_default=False)],
    starts: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH=START[..MOST]...",
            help="Figures of its scenarios, in SI units: where to start from, and what not to exceed.",
            show_default=False,
        ),
    ],
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Find the figures for which the calibrations of a study come out."""
    import simulator

    parameters, most = {}, {}
    for each in starts:
        path, equals, text = each.rpartition("=")
        start, dots, limit = text.partition("..")
        try:
            parameters[path] = float(start)
            if dots:
                most[path] = float(limit)
        except ValueError:
            equals = ""
        if not (path and equals):
            raise ConfigError(
                path="PATH=START", found=f"'{each}'", expected="such as hardware.links.a<->b.latency=1e-6, or =0.5..1"
            )
    with progress() as advance:
        fitted = simulator.fit(experiment, parameters, most, overrides or (), advance)
    if json:
        print_json(fitted)
    else:
        console().print(*(f"{path}={value:.6g}" for path, value in fitted.items()), sep="\n")
