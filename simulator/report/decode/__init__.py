"""The figures of a `decode` experiment: tokens a second, published and simulated."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.baselines.reproduction import Reproduction
from simulator.registry import register
from simulator.report import names, ratios
from simulator.report.decode import lengths, rates
from simulator.report.decode.models import colours
from simulator.report.figures import Drawn


@register("figures", "decode")
class DecodeFigures:
    """Rates over the length, rates of single lengths, and all predictions."""

    headline = ("latency", "ttft", "tokens_per_s", "decode_tokens_per_s")

    @staticmethod
    def draw(reproduction: Reproduction) -> Iterator[Drawn]:
        drawn = [lengths.draw(reproduction), rates.draw(reproduction)]
        return filter(None, [*drawn, ratios.draw(reproduction, colours(reproduction), "model", names.model)])
