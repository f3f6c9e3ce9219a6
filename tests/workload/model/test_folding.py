from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload import load_model
from simulator.workload.model.folding import LONGEST, folded
from simulator.workload.model.form import MOST_LAYERS, MOST_STRETCHES


def repeats(layers: list[str], period: int) -> int:
    count = 1
    while layers[count * period : (count + 1) * period] == layers[:period]:
        count += 1
    return count


@given(st.lists(st.sampled_from("ab"), max_size=40) | st.lists(st.sampled_from("ab"), max_size=4).map(lambda p: p * 9))
def test_folds_unfold_to_the_layers_and_each_covers_the_most(layers: list[str]) -> None:
    folds = folded(layers)
    assert list(chain.from_iterable(pattern * count for pattern, count in folds)) == layers
    left = layers
    for pattern, count in folds:
        covered = {p: p * n for p in range(1, len(left) // 2 + 1) if (n := repeats(left, p)) > 1}
        assert len(pattern) * count == max(covered.values(), default=1)
        assert all(p >= len(pattern) for p, most in covered.items() if most == len(pattern) * count)
        left = left[len(pattern) * count :]


def test_a_pattern_is_bounded() -> None:
    pattern = list(range(LONGEST + 1))
    assert all(len(part) <= LONGEST for part, _ in folded(pattern * 2))


class Counted:
    """A layer that counts how often it is compared."""

    compared = 0

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return isinstance(other, Counted) and self.kind == other.kind

    __hash__ = None  # type: ignore[assignment]


@given(st.lists(st.integers(0, 1), min_size=1, max_size=8), st.integers(1, 200))
def test_work_is_linear_in_the_layers(pattern: list[int], times: int) -> None:
    layers = [Counted(kind) for kind in pattern * times]
    Counted.compared = 0
    folds = folded(layers)
    assert Counted.compared <= 2 * len(folds) * (len(layers) + LONGEST)


@pytest.mark.parametrize("layers", [MOST_LAYERS + 1, 10**6, 10**9, 10**30])
def test_a_deeper_model_is_refused(layers: int) -> None:
    with pytest.raises(ConfigError, match=r"layers: found .*, expected at most"):
        load_model("llama-3.1-8b", [f"layers={layers}"])


def test_many_different_stretches_are_refused() -> None:
    windows = [bool(place.bit_count() % 2) for place in range(1000)]  # Thue and Morse: nothing repeats thrice
    with pytest.raises(ConfigError, match=f"stretches of different layers, expected at most {MOST_STRETCHES}"):
        load_model(
            "llama-3.1-8b",
            ["layers=1000", "attention.window=64", f"attention.window_pattern={str(windows).lower()}"],
        )
