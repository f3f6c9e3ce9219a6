"""What draws the figures of an experiment: one registered (`figures`) for each kind of experiment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simulator.baselines.reproduction import Reproduction


@dataclass(frozen=True)
class Drawn:
    """A figure, the name of its files, and the text below it."""

    name: str
    caption: str
    figure: Figure


class Figures(Protocol):
    """Registered under the name of a kind of experiment.

    `headline` names the metrics that are shown for each variant of the experiment too. `draw` gives the figures, the
    one that stands for the experiment first; what is published is drawn from the rows of the reproduction.
    It is called inside `style.publication()`.
    """

    headline: tuple[str, ...]

    def draw(self, reproduction: Reproduction) -> Iterator[Drawn]: ...
