"""The commands together, and what becomes of a user's mistake."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from simulator import __version__
from simulator.cli import (
    check,
    cost,
    crossover,
    estimate,
    fit,
    kernels,
    optimise,
    query,
    record,
    reproduce,
    roofline,
    search,
    sensitivity,
    show,
    simulate,
    sweep,
)
from simulator.cli import list as list_
from simulator.cli import schema as schema_
from simulator.cli.output import print_error, warned
from simulator.errors import TiersimError


class _Commands(TyperGroup):
    """Tells a user's mistake on stderr and exits with 2, warns there, and keeps the traceback of a fault."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with warned():
                result = super().invoke(ctx)
            sys.stdout.flush()  # a reader that has gone is met here, where typer ends quietly, and not at exit
        except TiersimError as error:
            print_error(str(error))
            raise typer.Exit(2) from None
        except OSError as error:
            if error.filename is None:  # no file of the user's; a broken pipe is typer's to end
                raise
            print_error(f"{error.filename}: {error.strerror}")
            raise typer.Exit(2) from None
        return result


app = typer.Typer(
    name="tiersim",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("list")(list_.command)
app.command("show")(show.command)
app.command("check")(check.command)
app.command("schema")(schema_.command)
app.command("cost")(cost.command)
app.command("estimate")(estimate.command)
app.command("roofline")(roofline.command)
app.command("kernels")(kernels.command)
app.command("simulate")(simulate.command)
app.command("reproduce")(reproduce.command)
app.command("fit")(fit.command)
app.command("sweep")(sweep.command)
app.command("search")(search.command)
app.command("optimise")(optimise.command)
app.command("sensitivity")(sensitivity.command)
app.command("crossover")(crossover.command)
app.command("query")(query.command)
app.command("record")(record.command)


def main() -> None:
    """Run the command with the arguments of the process."""
    app(prog_name="tiersim")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tiersim {__version__}")
        raise typer.Exit


@app.callback()
def _tiersim(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Simulate AI accelerators whose problem is memory: tiers, engines, links, and what a request sees."""
