"""Metrics as a person reads them."""

from __future__ import annotations

import pytest
from rich.console import Console

from simulator.cli.metric_tables import metric_tables
from simulator.scenario.metric import Metric


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        (Metric("tokens_per_s", "1/s", label="throughput"), 86112.3, "throughput 86,112 tok/s"),
        (Metric("tokens_per_s", "1/s", label="throughput"), 0.77, "throughput 0.77 tok/s"),
        (Metric("requests_per_s", "1/s", label="requests that end"), 1234.4, "requests that end 1,234 1/s"),
        (Metric("energy_per_token_j", "J", label="energy", per="token"), 0.075, "energy 75 mJ of a token"),
        (Metric("keeps_up", "1", label="whether the queue stays short"), 1.0, "whether the queue stays short yes"),
        (Metric("iterations", "1", label="iterations"), 50234.0, "iterations 50,234"),
    ],
)
def test_a_row_has_a_label_a_quantity_and_what_it_is_of(metric: Metric, value: float, text: str) -> None:
    console = Console(width=100)
    with console.capture() as shown:
        console.print(*metric_tables([metric], {metric.name: value}))
    assert shown.get().split() == text.split()
