"""What every result has in common: frames, provenance, and how it shows itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

    from simulator.provenance import Provenance


class Result(ABC):
    """A result holds pandas frames in SI units (`latency_s`, `energy_j`) and what it was made from."""

    provenance: Provenance

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

        shown = []
        for name, frame in self.frames().items():
            table = Table(title=name, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False)
            kinds = [dtype.kind for dtype in frame.dtypes]
            for column, kind in zip(frame.columns, kinds, strict=True):
                table.add_column(str(column), justify="right" if kind in "fi" else "left")
            rows = [[_cell(cell) for cell in row] for row in frame.itertuples(index=False)]
            for row in folded(rows, {place for place, kind in enumerate(kinds) if kind == "i"}):
                table.add_row(*row)
            shown.append(table)
        return Group(*shown)

    def _repr_html_(self) -> str:
        return "".join(f"<h4>{name}</h4>{frame.to_html(index=False)}" for name, frame in self.frames().items())


def folded(rows: list[list[str]], places: set[int]) -> list[list[str]]:
    """Runs of rows that differ in one of `places` alone, as one row: `10..35` there."""
    runs: list[tuple[list[str], list[str], int | None]] = []  # first row, last row, where they differ
    for row in rows:
        if runs:
            first, last, place = runs[-1]
            differing = [i for i, (a, b) in enumerate(zip(last, row, strict=True)) if a != b]
            if len(differing) == 1 and differing[0] in places and place in (None, differing[0]):
                runs[-1] = (first, row, differing[0])
                continue
        runs.append((row, row, None))
    return [
        [f"{a}..{b}" if i == place else a for i, (a, b) in enumerate(zip(first, last, strict=True))]
        for first, last, place in runs
    ]


def _cell(value: object) -> str:
    """Four digits, of a number without the noise of its tenth; nothing for NaN."""
    if isinstance(value, float):
        return f"{float(f'{value:.9g}'):.4g}" if value == value else ""
    return str(value)
