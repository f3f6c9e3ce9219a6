"""How each machine of a `coe` experiment looks, alike in all figures, and the points that a figure shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.baselines.published import Published
from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Look:
    """A machine's name in print, its colour and its marker."""

    label: str
    colour: str
    marker: str


def looks(reproduction: Reproduction) -> dict[str, Look]:
    """The look of each machine, in the experiment's order."""
    systems = dict.fromkeys(reproduction.base.frames()["points"]["system"])
    styles = [(style.CYCLE[i % len(style.CYCLE)], style.MARKERS[i % len(style.MARKERS)]) for i in range(len(systems))]
    return {name: Look(names.machine(name), *look) for name, look in zip(systems, styles, strict=True)}


def published(reproduction: Reproduction, metrics: Sequence[str]) -> list[Published]:
    """What is published of some metrics, in the order of the paper's figures."""
    rows = [row.published for row in reproduction.rows if row.published.metric in metrics]
    return sorted(rows, key=lambda row: names.order(row.figure))


def milliseconds(row: Published) -> float:
    """A published time, whatever unit it was published in."""
    return row.published / row.from_si(1e-3)


def where(frame: pd.DataFrame, **condition: Any) -> pd.DataFrame:
    """The rows of a table that meet a condition."""
    for column, value in condition.items():
        frame = frame[frame[column] == value]
    return frame
