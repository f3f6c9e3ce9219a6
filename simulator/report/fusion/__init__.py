"""The figures of a `fusion` experiment: speed-ups and kernel calls, published and simulated."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.baselines.reproduction import Reproduction
from simulator.registry import register
from simulator.report.figures import Drawn
from simulator.report.fusion import speedups


@register("figures", "fusion")
class FusionFigures:
    """Speed-ups over the unfused program, what orchestration gains, and calls saved, a line each benchmark."""

    headline = ("speedup", "orchestration_gain", "calls_ratio", "op_per_byte")

    @staticmethod
    def draw(reproduction: Reproduction) -> Iterator[Drawn]:
        drawn = speedups.draw(reproduction)
        return iter([drawn] if drawn else [])
