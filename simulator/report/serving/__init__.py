"""The figures of a `serving` experiment: ratios between systems, what the time goes to, and queues under arrivals."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.baselines.reproduction import Reproduction
from simulator.registry import register
from simulator.report.figures import Drawn
from simulator.report.serving import arrivals, bars, percentiles, shares, statistics
from simulator.report.serving.systems import outcome_of


@register("figures", "serving")
class ServingFigures:
    """Bars of throughput and energy for each loop of several systems, percentiles, arrivals, shares, statistics."""

    headline = ("speedup",)

    @staticmethod
    def draw(reproduction: Reproduction) -> Iterator[Drawn]:
        loops = outcome_of(reproduction).experiment.loops
        drawn = [bars.draw(reproduction, name, "throughput") for name in loops]
        drawn += [bars.draw(reproduction, name, "energy") for name in list(loops)[:1]]
        drawn += [percentiles.draw(reproduction, name) for name in loops]
        drawn += [arrivals.draw(reproduction, name) for name in outcome_of(reproduction).experiment.arrivals]
        drawn += [shares.draw(reproduction), statistics.draw(reproduction)]
        return filter(None, drawn)
