"""What every result has in common: frames, provenance, and how it shows itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf, isinf
from typing import TYPE_CHECKING, Any

from simulator.errors import TiersimError, dotted
from simulator.escape import html, one_line, visible

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

    from simulator.provenance import Provenance


WIDE = 13  # columns of a table in a terminal, at most


class OverflowedError(TiersimError):
    """A figure of a result left the range of a number: what it was made from lies too far apart."""


def check_finite(document: Any, path: tuple[str | int, ...] = ()) -> None:
    """Check that no figure of plain data is infinite, frames and arrays too; NaN is what is not known.

    Raises:
        OverflowedError: one is, with its path.
    """
    if isinstance(document, dict):
        for key, item in document.items():
            check_finite(item, (*path, str(key)))
    elif isinstance(document, list | tuple):
        for index, item in enumerate(document):
            check_finite(item, (*path, index))
    elif hasattr(document, "select_dtypes"):
        check_finite({name: column.to_numpy() for name, column in document.select_dtypes("float").items()}, path)
    elif hasattr(document, "tolist"):  # numpy's: looked at one by one only where that can find something
        if document.dtype.kind not in "fiub" or (abs(document) == inf).any():
            check_finite(document.tolist(), path)
    elif isinstance(document, float) and isinf(document):
        expected = "a finite number: what it is made from has magnitudes too far apart"
        raise OverflowedError(f"{dotted(path) or 'a figure'}: found {document}, expected {expected}")


class Result(ABC):
    """A result holds pandas frames in SI units (`latency_s`, `energy_j`) and what it was made from."""

    provenance: Provenance

    def __post_init__(self) -> None:
        check_finite(vars(self))

    @abstractmethod
    def frames(self) -> dict[str, pd.DataFrame]:
        """The tables of the result by name."""

    def as_json(self) -> Any:
        """The result as plain data: what `--json` prints."""
        return {name: frame.to_dict("records") for name, frame in self.frames().items()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of config {self.provenance.hash}, tiersim {self.provenance.version}>"

    def __rich__(self) -> RenderableType:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        shown = []
        for title, frame in ((n, part) for name, full in self.frames().items() for n, part in _parts(name, full)):
            table = Table(title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False)
            table.title = Text(visible(title))
            kinds = [dtype.kind for dtype in frame.dtypes]
            for column, kind in zip(frame.columns, kinds, strict=True):
                table.add_column(Text(visible(str(column))), justify="right" if kind in "fi" else "left")
            rows = [[_cell(cell) for cell in row] for row in frame.itertuples(index=False)]
            for start, stop, place in runs(rows):
                first, last = rows[start], rows[stop - 1]
                table.add_row(
                    *(
                        Text(f"{a}..{b}" if i == place else visible(str(a)))
                        for i, (a, b) in enumerate(zip(first, last, strict=True))
                    )
                )
            shown.append(table)
        return Group(*shown)

    def _repr_html_(self) -> str:
        shown = ((name, frame.map(_written).rename(columns=_written)) for name, frame in self.frames().items())
        return "".join(f"<h4>{html(name)}</h4>{frame.to_html(index=False)}" for name, frame in shown)


def _parts(name: str, frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """A table as it is; one too wide to read in parts, each with the columns that tell its rows apart."""
    if len(frame.columns) <= WIDE:
        return [(name, frame)]
    keys = next((i for i, dtype in enumerate(frame.dtypes) if dtype.kind == "f"), 0)
    each = max(WIDE - keys, 1)
    places = [list(range(start, min(start + each, frame.shape[1]))) for start in range(keys, frame.shape[1], each)]
    titles = [name, *(f"{name}, further columns" for _ in places[1:])]
    return [(t, frame.iloc[:, [*range(keys), *place]]) for t, place in zip(titles, places, strict=True)]


def runs(rows: Sequence[Sequence[int | str]]) -> list[tuple[int, int, int | None]]:
    """Neighbours that differ in one number alone: where each run starts and stops, and the place of that number."""
    stretches: list[tuple[int, int, int | None]] = []
    for index, row in enumerate(rows):
        place = _varying(rows[index - 1], row) if stretches else None
        if stretches and place is not None and stretches[-1][2] in (None, place):
            stretches[-1] = (stretches[-1][0], index + 1, place)
        else:
            stretches.append((index, index + 1, None))
    return stretches


def _varying(one: Sequence[int | str], other: Sequence[int | str]) -> int | None:
    """The place in which alone two rows differ, if both have a number there."""
    if len(one) != len(other):
        return None
    places = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(places) != 1 or not (isinstance(one[places[0]], int) and isinstance(other[places[0]], int)):
        return None
    return places[0]


def _written(value: Any) -> Any:
    """A text without controls, for pandas to escape the rest; other values as they are."""
    return one_line(value) if isinstance(value, str) else value


def _cell(value: object) -> int | str:
    """A count as it is; else text: four digits, without the noise of the tenth, and nothing for NaN."""
    if isinstance(value, float):
        return f"{float(f'{value:.9g}'):.4g}" if value == value else ""
    return value if type(value) is int else str(value)
