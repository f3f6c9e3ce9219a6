"""The commands together, and what becomes of a user's mistake."""

from __future__ import annotations

import atexit
import errno
import gc
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from simulator import __version__
from simulator.cli.output import print_error, warned
from simulator.errors import TiersimError
from simulator.escape import visible
from simulator.files import reason

COMMANDS = [
    "list",
    "show",
    "diff",
    "check",
    "schema",
    "cost",
    "estimate",
    "roofline",
    "kernels",
    "operator",
    "calibrate",
    "simulate",
    "reproduce",
    "compare",
    "accuracy",
    "import-model",
    "fit",
    "measure",
    "fit-machine",
    "sweep",
    "search",
    "optimise",
    "sensitivity",
    "crossover",
    "capacity",
    "query",
    "record",
    "requests",
]
"""Names in the order of the help; the module of each has its name."""
LISTED = "tiersim.listed"
"""What a context says while the help lists the commands."""


@cache
def _command(name: str) -> Any:
    """A command, whose module is imported when it is named: an estimate waits for no other's options."""
    module = _module(name)
    if hasattr(module, "app"):
        return get_command(module.app)
    alone = typer.Typer(add_completion=False)
    alone.command(name)(module.command)
    return get_command(alone)


def _line(name: str) -> TyperCommand:
    """A command as the list of all shows it, without its options: forming those takes longer than the help."""
    module = _module(name)
    return TyperCommand(name, help=module.app.info.help if hasattr(module, "app") else inspect.getdoc(module.command))


def _module(name: str) -> Any:
    return import_module(f"simulator.cli.{name.replace('-', '_')}")


class _Commands(TyperGroup):
    """Tells a user's mistake on stderr and exits with 2, warns there, and keeps the traceback of a fault."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": dict.fromkeys(COMMANDS)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands:
            return None
        return _line(cmd_name) if ctx.meta.get(LISTED) else _command(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        ctx.meta[LISTED] = True
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _shown():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            with warned(), _shown():
                result = super().invoke(ctx)
            sys.stdout.flush()  # a reader that has gone is met here, where typer ends quietly, and not at exit
        except TiersimError as error:
            print_error(str(error))
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # typer's to end, quietly
                raise
            print_error(f"{error.filename or 'cannot write'}: {reason(error)}")
            _drop_output()
            raise typer.Exit(2) from None
        except RecursionError:
            print_error("something is nested too deeply")
            raise typer.Exit(2) from None
        return result


_WrongCall: Any = typer.BadParameter.__base__
"""What typer raises for options and arguments that are none of the command's; it prints the message itself."""


@contextmanager
def _shown() -> Iterator[None]:
    """What a wrong call says has no controls in it."""
    try:
        yield
    except _WrongCall as error:
        error.message = visible(error.message)
        raise


def _drop_output() -> None:
    """Send what stdout still holds to nowhere: what could not be written is not tried again at exit."""
    with suppress(OSError, ValueError):  # it is no file, in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    name="tiersim",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command with the arguments of the process; what a terminal cannot encode is written out."""
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # closed by who started us
    if sys.stdout is None:
        print_error("stdout is closed: there is nowhere to print to")
        raise SystemExit(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    gc.set_threshold(200_000, 20, 100)  # plans live as long as their question does
    atexit.register(gc.freeze)  # the process ends with them: Python would search all of it for cycles first
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for numpy, not loaded yet: its products are small
    app(prog_name="tiersim")


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"tiersim {__version__}")
        raise typer.Exit


@app.callback()
def _tiersim(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Simulate AI accelerators whose problem is memory: tiers, engines, links, and what a request sees."""
