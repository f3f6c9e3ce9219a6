"""The figures of a `serving` experiment: ratios between systems, what the time goes to, and queues under arrivals."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.baselines.reproduction import Reproduction
from simulator.registry import register
from simulator.report.figures import Drawn
from simulator.report.serving import apart, arrivals, latency, shares, statistics, throughput
from simulator.report.serving.systems import compared, outcome_of


@register("figures", "serving")
class ServingFigures:
    """Throughput, latency and energy of the first loop that compares systems; arrivals; the other loops; statistics.

    Of the other loops, those of several models are drawn by throughput, each named after the systems that it adds;
    those of one model together.
    """

    headline = ("speedup",)

    @staticmethod
    def draw(reproduction: Reproduction) -> Iterator[Drawn]:
        outcome = outcome_of(reproduction)
        first, *others = [*compared(outcome), ""][: max(1, len(compared(outcome)))]
        loops = outcome.experiment.loops
        opened = list(outcome.experiment.arrivals)
        drawn = [throughput.draw(reproduction, first, "speedups"), latency.draw(reproduction, first)]
        drawn += [arrivals.draw(reproduction, n, "arrivals" if len(opened) == 1 else f"arrivals_{n}") for n in opened]
        for name in others:
            if len(loops[name].lengths) > 1:
                added = [system for system in loops[name].systems if system not in loops[first].systems]
                drawn.append(throughput.draw(reproduction, name, "_".join(added or [name]).replace("-", "_")))
        drawn.append(throughput.draw(reproduction, first, "energy", throughput.ENERGY))
        drawn += [
            shares.draw(reproduction),
            apart.draw(reproduction, [n for n in others if len(loops[n].lengths) == 1]),
        ]
        return filter(None, [*drawn, statistics.draw(reproduction)])
