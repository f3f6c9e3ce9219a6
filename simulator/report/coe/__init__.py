"""The figures of a `coe` experiment: a Composition of Experts on several machines, published and simulated."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.baselines.reproduction import Reproduction
from simulator.registry import register
from simulator.report import ratios
from simulator.report.coe import footprint, latency, speedups, split
from simulator.report.coe.systems import looks
from simulator.report.figures import Drawn

CAPACITY = ("last_fit", "first_miss", "out_of_memory", "nodes", "nodes_from")


@register("figures", "coe")
class CoeFigures:
    """Latency over the number of experts, what it is made of, speed-ups, and the nodes needed."""

    headline = ("switch_time", "switching", "execution", *speedups.METRICS, *CAPACITY)

    @staticmethod
    def draw(reproduction: Reproduction) -> Iterator[Drawn]:
        parts = [part.draw(reproduction) for part in (latency, split, speedups, footprint)]
        colours = {system: look.colour for system, look in looks(reproduction).items()}
        return filter(None, [*parts, ratios.draw(reproduction, colours)])
