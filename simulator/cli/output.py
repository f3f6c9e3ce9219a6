"""What the command prints: documents and tables on stdout, mistakes and progress on stderr."""

from __future__ import annotations

import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from simulator.config import Config

from simulator.escape import one_line, visible
from simulator.result import check_finite

WIDE = 160
"""Columns of what is printed into a file or a pipe."""

LEAST = 140
"""Columns that the widest tables need."""

_ROLES = {
    "input": "",
    "assumption": "yellow",
    "calibration": "magenta",
    "prediction": "green",
    "context": "dim",
    "disputed": "red",
}
"""The colour of a role, in every table."""


def print_json(document: Any) -> None:
    """One JSON document; what is not known (NaN) becomes null. A mapping has the command's `warnings` too, if any.

    Raises:
        OverflowedError: a figure that is infinite.
    """
    if _warned and isinstance(document, dict):
        document = {**document, "warnings": list(_warned)}
    check_finite(document)
    sys.stdout.write(json.dumps(_finite(document), indent=2, allow_nan=False) + "\n")


def print_error(message: str, what: str = "error", style: str = "red") -> None:
    """A user's mistakes, a line each, on stderr."""
    out = _terminal(stderr=True, soft_wrap=True)
    for line in message.split("\n"):
        out.print(f"{what}: {line}", style=style)


_warned: list[str] = []  # of the command that runs


@contextmanager
def warned() -> Iterator[list[str]]:
    """The warnings of a command, each printed once, in yellow, on stderr; those of other libraries go their way."""
    from simulator.errors import TiersimWarning

    _warned.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("always", TiersimWarning)
        others = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *place: Any) -> None:
            text = str(message)
            if not issubclass(category, TiersimWarning):
                others(message, category, *place)
            elif text not in _warned:
                _warned.append(text)
                print_error(text, "warning", "yellow")

        warnings.showwarning = tell  # type: ignore[assignment]  # of the place it hands on what it is given
        yield _warned


def console() -> Console:
    """Where tables are printed; square brackets and colons are text."""
    wide = _terminal(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE)
    # A narrower terminal breaks the lines itself: better than numbers that are cut.
    return _terminal(width=max(wide.width, LEAST))


def _terminal(**settings: Any) -> Console:
    """A console on which a text is a text: no markup, no emoji by name, and no controls but line feeds."""
    from rich.console import Console

    class Terminal(Console):
        def render_str(self, text: str, **ways: Any) -> Text:
            return super().render_str(visible(text), **ways)

    return Terminal(markup=False, emoji=False, highlight=False, **settings)


def table_of(columns: Collection[str], numbers: Collection[str] = (), title: str | None = None) -> Table:
    """An empty table: names first and in bold, `numbers` to the right; cells that are too wide go on below."""
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        title=title,
        title_justify="left",
        title_style="bold",
    )
    for place, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        style = "" if place else "bold"
        table.add_column(column, justify=justify, style=style, no_wrap=not place, overflow="fold")
    return table


def role_text(role: str) -> Text:
    """A role in its colour."""
    from rich.text import Text

    return Text(role, style=_ROLES.get(role, ""))


def shown_path(file: Path) -> str:
    """A file as a reader finds it: from the present folder, where it lies below."""
    folder = Path.cwd()
    return str(file.relative_to(folder) if file.is_absolute() and file.is_relative_to(folder) else file)


def abbreviations(config: Config) -> str:
    """Where the abbreviations of a config's sources are spelled out."""
    files = dict.fromkeys(shown_path(mark.file) for mark in config.marks.values() if mark.line)
    return f"Sources are abbreviated as the comments at the head of {' and '.join(files)} say."


def count_of(parameters: float) -> str:
    """A number of parameters as people write it: `6.738B`."""
    scale, letter = next((s for s in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")) if parameters >= s[0]), (1, ""))
    return f"{parameters / scale:.4g}{letter}"


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function to call with what is running, the points done and the points in all; drawn on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda title, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    title = TextColumn("{task.description}", markup=False)
    columns = (title, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_terminal(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def advance(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = bars.add_task(one_line(title), total=total)
            bars.update(tasks[title], completed=done, total=total)

        yield advance


@contextmanager
def status(title: str) -> Iterator[Callable[[str], None]]:
    """A function to call with how far it is, where nobody knows how far there is to go; drawn on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    with _terminal(stderr=True).status(one_line(title)) as shown:
        yield lambda text: shown.update(f"{one_line(title)}: {one_line(text)}")


def in_turn(takes: Mapping[str, float], advance: Callable[[str, int, int], None]) -> Iterator[str]:
    """Names of what is to run, one after another, of which each takes about so many seconds.

    Where there are several, stderr says which runs and how long is left, in proportion to what was needed so far: on a
    terminal by `advance`, elsewhere in lines.
    """
    start, done, total = time.monotonic(), 0.0, sum(takes.values())
    for place, (name, seconds) in enumerate(takes.items(), start=1):
        if len(takes) > 1:
            advance("all, in seconds", round(done), round(total))
            if not sys.stderr.isatty():
                left = (total - done) * ((time.monotonic() - start) / done if done else 1.0)
                span = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
                print(f"{place} of {len(takes)}: {name}; about {span} left", file=sys.stderr, flush=True)
        yield name
        done += seconds


def _finite(value: Any) -> Any:
    """Plain data for JSON: numpy's scalars and arrays too."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
