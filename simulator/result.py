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
        from rich.console import Group
        from rich.table import Table

        shown = []
        for name, frame in self.frames().items():
            table = Table(title=name, title_justify="left")
            for column in frame.columns:
                table.add_column(str(column), justify="right" if frame[column].dtype.kind in "fi" else "left")
            for row in frame.itertuples(index=False):
                table.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row))
            shown.append(table)
        return Group(*shown)

    def _repr_html_(self) -> str:
        return "".join(f"<h4>{name}</h4>{frame.to_html(index=False)}" for name, frame in self.frames().items())
