"""What a batch sees: pairs and keys in closed form against a plain loop; and sums over sequences of all lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload import Batch, Cut, Model, Ragged, Sequences, decode, operator_graph, prefill

windows = st.none() | st.integers(1, 40)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 30), st.integers(0, 60), windows)
def test_pairs_and_keys_are_what_the_mask_shows(count: int, new: int, past: int, window: int | None) -> None:
    seen = [
        {key for key in range(past + new) if key <= past + j and (window is None or key > past + j - window)}
        for j in range(new)
    ]
    group = Sequences(count, new, past)
    assert group.pairs(window) == count * sum(len(keys) for keys in seen)
    assert group.keys(window) == count * len(set.union(*seen))
    assert group.tokens == count * new


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 60), windows)
def test_two_chunks_see_what_one_piece_sees(first: int, second: int, past: int, window: int | None) -> None:
    whole = Sequences(1, first + second, past).pairs(window)
    assert Sequences(1, first, past).pairs(window) + Sequences(1, second, past + first).pairs(window) == whole


@settings(deadline=None)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=8), st.integers(1, 20), windows)
def test_an_array_of_pasts_equals_each_alone(pasts: list[int], new: int, window: int | None) -> None:
    many = Sequences(3, new, np.array(pasts))
    each = [Sequences(3, new, past) for past in pasts]
    np.testing.assert_array_equal(many.pairs(window), [group.pairs(window) for group in each])
    np.testing.assert_array_equal(many.keys(window), [group.keys(window) for group in each])


def test_phases() -> None:
    assert [group.phase for group in prefill(2, 10) + decode(4, 100)] == ["prefill", "decode"]
    assert prefill(2, 10, past=5)[0].past == 5
    assert decode(4, 100)[0].tokens == 4


@pytest.mark.parametrize(
    ("count", "new", "past", "key"),
    [(0, 1, 0, "count"), (1, 0, 0, "new"), (1, 1, -1, "past"), (1, float("nan"), 0, "new"), (1, 1, [3, -1], "past")],
)
def test_impossible_sequences_are_refused(count: float, new: float, past: float, key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}.*or more"):
        Sequences(count, new, past)


# --- sequences of different lengths


def summed(batch: Batch, of: tuple[Cut, ...] = ()) -> Batch:
    """The same sequences as one sum a phase, with what is cut."""
    found = []
    for phase in ("prefill", "decode"):
        groups = [group for group in batch if group.phase == phase]
        if groups:
            sums = (sum(of(g) for g in groups) for of in (lambda g: g.logits, lambda g: g.tokens, pairs, keys))
            cut = {
                each: (sum(cut_pairs(g, each) for g in groups), sum(cut_keys(g, each) for g in groups)) for each in of
            }
            found.append(Ragged(phase, *sums, cut))  # type: ignore[arg-type]
    return tuple(found)


def pairs(group: Sequences) -> Any:
    return group.pairs()


def keys(group: Sequences) -> Any:
    return group.keys()


def cut_pairs(group: Sequences, cut: Cut) -> Any:
    return group.pairs(cut.size) if cut.kind == "window" else group.chunk_pairs(cut.size)


def cut_keys(group: Sequences, cut: Cut) -> Any:
    return group.keys(cut.size) if cut.kind == "window" else group.chunk_keys(cut.size)


prompts = st.lists(st.builds(Sequences, st.integers(1, 3), st.integers(2, 50), st.integers(0, 40)), max_size=3)
answers = st.lists(st.builds(Sequences, st.integers(1, 3), st.just(1), st.integers(0, 90)), max_size=3)


@settings(deadline=None, max_examples=10)
@given(prompts, answers)
def test_their_sums_demand_what_they_demand_one_by_one(
    variant: Model, prompts: list[Sequences], answers: list[Sequences]
) -> None:
    batch = (*prompts, *answers)
    if batch:
        assert_same(variant, batch)


@settings(deadline=None, max_examples=10)
@given(prompts, answers, st.sampled_from([{"window": 16}, {"chunk": 8}, {"window": 9, "top_k": 12}, {"top_k": 20}]))
def test_so_do_sums_of_what_is_cut(
    small: Callable[..., Model], prompts: list[Sequences], answers: list[Sequences], attention: dict[str, Any]
) -> None:
    batch = (*prompts, *answers)
    if batch:
        assert_same(small(attention={**attention, "window_pattern": [True, False]}), batch)


def assert_same(model: Model, batch: Batch) -> None:
    one_by_one, together = (operator_graph(model, each).totals() for each in (batch, summed(batch, model.cuts)))
    assert together.flops == pytest.approx(one_by_one.flops, rel=1e-12)
    assert together.bytes == pytest.approx(one_by_one.bytes, rel=1e-12)


def test_sums_may_be_arrays_and_nothing(small: Callable[..., Model]) -> None:
    tokens, context = np.array([0.0, 3.0, 8.0]), np.array([0.0, 30.0, 800.0])
    mixed = Ragged("prefill", 2.0, 24.0, 156.0, 24.0)
    many = operator_graph(small(), (mixed, Ragged("decode", tokens, tokens, context, context))).totals()
    for i in range(3):
        alone = (mixed, Ragged("decode", tokens[i], tokens[i], context[i], context[i]))
        one = operator_graph(small(), alone if i else alone[:1]).totals()  # none that decodes: as without them
        assert np.asarray(many.flops)[i] == pytest.approx(one.flops, rel=1e-14)
        for operand, size in many.bytes.items():
            assert np.broadcast_to(size, 3)[i] == pytest.approx(one.bytes[operand], rel=1e-14)


cut = st.sampled_from(["window", "chunk"])


@settings(deadline=None)
@given(cut, st.integers(1, 40), st.integers(1, 30), st.integers(0, 60))
def test_a_cut_is_what_its_mask_shows(kind: Any, size: int, new: int, past: int) -> None:
    first = [max(0, i + 1 - size) if kind == "window" else i - i % size for i in range(past, past + new)]
    seen = [set(range(begin, i + 1)) for begin, i in zip(first, range(past, past + new), strict=True)]
    assert Cut(kind, size).pairs(new, past) == sum(map(len, seen))
    reaches = set(range(min(first), past + new))
    assert Cut(kind, size).keys(new, past) == len(reaches)


def test_a_sum_whose_cuts_are_not_known_is_refused(small: Callable[..., Model]) -> None:
    with pytest.raises(ConfigError, match="different lengths: found a sliding window of 16, expected a model without"):
        operator_graph(small(attention={"window": 16}), (Ragged("decode", 1.0, 1.0, 9.0, 9.0),))


@pytest.mark.parametrize("key", ["count", "tokens", "seen", "cached"])
@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf"), np.array([1.0, -1.0])], ids=str)
def test_impossible_sums_are_refused(key: str, wrong: Any) -> None:
    sums: dict[str, Any] = {"count": 1.0, "tokens": 1.0, "seen": 9.0, "cached": 9.0, key: wrong}
    with pytest.raises(ConfigError, match=f"^{key}: found .*expected 0 or more"):
        Ragged("decode", **sums)
