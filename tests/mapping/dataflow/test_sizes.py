"""The sizes that a program is compiled for: all are stood for, none is larger than the largest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.mapping.dataflow.sizes import SAMPLES, count, sizes
from simulator.workload import Block, decode, load_model, operator_graph


def layer(contexts: object) -> Block:
    return operator_graph(load_model("llama-2-7b"), decode(2, contexts)).blocks[1]  # type: ignore[arg-type]


def cached(block: Block) -> float:
    return float(sum(o.bytes.get("kv_read", 0.0) for o in block.operators))


@given(st.integers(1, 300), st.integers(1, 60), st.data())
def test_samples_stand_for_all_sizes_and_lie_between_the_ends(number: int, step: int, data: st.DataObject) -> None:
    contexts = 10.0 + step * np.arange(number)
    start = data.draw(st.integers(0, number - 1))
    end = data.draw(st.integers(start + 1, number))
    spread, each = sizes(layer(contexts), start, end), [cached(layer(c)) for c in (contexts[start], contexts[end - 1])]
    found = [cached(block) for block, _ in spread.samples]
    assert sum(weight for _, weight in spread.samples) == end - start
    assert sum(1 for _, weight in spread.samples if weight) == min(end - start, SAMPLES)
    assert (found[0], found[-1]) == tuple(each)
    assert found == sorted(found)
    assert cached(spread.largest) == each[1]


def test_numbers_are_their_only_size() -> None:
    block = layer(1000.0)
    spread = sizes(block)
    assert count(block) is None
    assert spread.largest is spread.samples[0][0] is block


@given(st.integers(SAMPLES, 500))
def test_the_mean_of_the_samples_is_that_of_all(number: int) -> None:
    """Half of a run apart at the most, as each stands in the middle of its run."""
    contexts = np.arange(100.0, 100.0 + number)
    spread = sizes(layer(contexts))
    mean = sum(weight * cached(block) for block, weight in spread.samples) / number
    half = cached(layer(101.0)) - cached(layer(100.0))
    assert mean == pytest.approx(float(np.mean(cached_each(contexts))), abs=half)


def cached_each(contexts: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    first, second = cached(layer(contexts[0])), cached(layer(contexts[0] + 1))
    return [first + (second - first) * (context - contexts[0]) for context in contexts]
