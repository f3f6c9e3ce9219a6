"""What a kind of workload gives, declared once: read by the terminal, sweeps, published values, charts and docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Sense: TypeAlias = Literal["max", "min"]


@dataclass(frozen=True)
class Metric:
    """A quantity of each point.

    Attributes:
        name: as columns, constraints and published rows have it.
        unit: the SI unit, `1` of a plain number; empty of a text.
        better: whether more or less of it is better; None of what is neither.
        label: what a chart writes at its axis.
        per: what it counts for: a token, a request, a batch, a device; empty of the whole run.
    """

    name: str
    unit: str = ""
    better: Sense | None = None
    label: str = ""
    per: str = ""

    @property
    def is_text(self) -> bool:
        return not self.unit

    @property
    def is_flag(self) -> bool:
        """Whether it is 1 for yes and 0 for no, as its label says."""
        return self.label.startswith("whether ")


ERROR = Metric("error", label="why a point failed")
"""Every table has it: empty where a point did not fail; its other metrics are then missing."""
