"""Counted popularity: the shipped files, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator import data
from simulator.errors import ConfigError
from simulator.workload.routing.draws import counts
from simulator.workload.routing.measured import FOLDER, load_measured


@pytest.mark.parametrize("routing", data.names(FOLDER))
def test_a_shipped_file_is_drawn_as_it_was_counted(routing: str) -> None:
    measured = load_measured(routing)
    assert measured.name == routing
    for layer in measured.layers:
        router = measured.router(layer.layer)
        assert (router.experts, router.top_k) == (measured.experts, measured.top_k)
        shares = np.array(layer.counts) / layer.tokens
        drawn = counts(router, np.full(100, 2000), 1).mean(axis=(0, 1)) / 2000
        noise = 5 * np.sqrt(shares * (1 - shares) / 2e5)
        assert np.all(np.abs(drawn - shares) <= 0.03 * shares + noise)


GOOD = """\
schema: 1
name: small
experts: 3
top_k: 2
layers:
  - {layer: 4, tokens: 10, counts: [9, 6, 5]}
"""


def test_a_layer_that_was_not_counted_is_named(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(GOOD)
    with pytest.raises(ConfigError, match="small: layer: found 0, expected '4'"):
        load_measured(tmp_path / "small.yaml").router(0)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[9, 6, 5]", "[9, 11]", "counts of 2 experts, not 3"),
        ("[9, 6, 5]", "[9, 6, 6]", "do not add up to top_k"),
        ("[9, 6, 5]", "[10, 5, 5]", "picked by every token"),
        ("tokens: 10", "tokens: 0", r"small\.yaml:6: layers\.0\.tokens"),
        ("top_k", "topk", "did you mean 'top_k'"),
    ],
)
def test_counts_that_cannot_be_are_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    (tmp_path / "small.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError, match=says):
        load_measured(tmp_path / "small.yaml")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'olmoe-1b-7b'\?"):
        load_measured("olmoe-1b")
