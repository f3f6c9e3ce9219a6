"""A memory plan never overlaps what lives at once, spills no more than it must, and only gains from more HBM."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import CapacityError
from simulator.mapping.spill.memory_plan import MemoryPlan, Region, Space, Symbol, live_bytes, memory_plan

DDR = Space("ddr", 1e9)


@st.composite
def a_symbol(draw: st.DrawFn) -> Symbol:
    first = draw(st.integers(0, 8))
    return Symbol(
        name="symbol",
        bytes=draw(st.integers(1, 40)),
        transferred=draw(st.integers(0, 12)),
        first=first,
        last=draw(st.integers(first, 9)),
        kind=draw(st.sampled_from(("weight", "kv", "activation"))),
    )


programs = st.lists(a_symbol(), max_size=14)
grains = st.sampled_from((1.0, 8.0, 7.0))
sizes = st.integers(0, 300)


def size_in(space: Space, symbol: Symbol) -> int:
    return int(-(-symbol.bytes // space.granularity) * space.granularity)


def plan(symbols: list[Symbol], capacity: float, grain: float = 1.0) -> MemoryPlan:
    return memory_plan(symbols, Space("hbm", capacity, grain), DDR)


@given(programs, sizes, grains)
def test_every_symbol_lies_once_in_its_own_bytes(symbols: list[Symbol], capacity: int, grain: float) -> None:
    found = plan(symbols, capacity, grain)
    assert {*found.fast.addresses, *found.slow.addresses} == {*symbols}
    assert len(found.fast.addresses) + len(found.slow.addresses) == len(symbols)
    assert found.fast.peak <= capacity
    for region in (found.fast, found.slow):
        _check_region(region)


def _check_region(region: Region) -> None:
    placed = [(s, at, at + size_in(region.space, s)) for s, at in region.addresses.items()]
    for i, (a, start, end) in enumerate(placed):
        assert start % region.space.granularity == 0
        assert 0 <= start <= end <= region.peak
        for b, other_start, other_end in placed[:i]:
            together = a.first <= b.last and b.first <= a.last
            assert not together or end <= other_start or other_end <= start
    live = [sum(end - start for s, start, end in placed if s.first <= step <= s.last) for step in range(10)]
    assert region.bound == max(live)
    assert region.bound <= region.peak <= sum(end - start for _, start, end in placed)


@given(programs, grains)
def test_what_fits_side_by_side_stays(symbols: list[Symbol], grain: float) -> None:
    total = sum(size_in(Space("hbm", 0.0, grain), symbol) for symbol in symbols)
    assert not plan(symbols, total, grain).slow.addresses


@given(programs, st.integers(0, 300), grains)
def test_no_more_spills_than_must(symbols: list[Symbol], capacity: int, grain: float) -> None:
    found = plan(symbols, capacity, grain)
    if found.slow.addresses:
        place = {symbol: i for i, symbol in enumerate(symbols)}
        last = max(found.slow.addresses, key=lambda s: (s.kind == "weight", s.transferred, -place[s]))
        again = plan([s for s in symbols if s is last or s in found.fast.addresses], capacity, grain)
        assert again.slow.addresses, f"{last} would have fitted"


@given(programs, sizes, sizes, grains)
def test_what_spills_out_of_more_memory_is_a_part_of_what_spills_out_of_less(
    symbols: list[Symbol], capacity: int, more: int, grain: float
) -> None:
    small, large = plan(symbols, capacity, grain), plan(symbols, capacity + more, grain)
    assert {*large.slow.addresses} <= {*small.slow.addresses}
    spilled = [sum(s.transferred for s in found.slow.addresses) for found in (small, large)]
    assert spilled[1] <= spilled[0]


@given(programs, sizes)
def test_weights_spill_last_and_the_least_transferred_first(symbols: list[Symbol], capacity: int) -> None:
    found = plan(symbols, capacity)
    for weight in (False, True):
        spilled, kept = (
            [s.transferred for s in region.addresses if (s.kind == "weight") == weight]
            for region in (found.slow, found.fast)
        )
        assert not spilled or not kept or max(spilled) <= min(kept)
    if any(s.kind == "weight" for s in found.slow.addresses):
        assert all(s.kind == "weight" for s in found.fast.addresses)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_a_chain_reuses_the_bytes_of_the_dead(lengths: list[int]) -> None:
    chain = [Symbol(str(i), size, 1.0, i, i + 1, "activation") for i, size in enumerate(lengths)]
    neighbours = [a + b for a, b in pairwise(lengths)] or lengths
    found = plan(chain, 1e9)
    assert found.fast.bound == max(neighbours)
    assert found.fast.peak <= 3 * max(lengths)  # a symbol has two neighbours


def test_a_symbol_takes_the_smallest_gap_that_holds_it() -> None:
    # At step 1 lie p, q, v and s on one another. At step 2, q and s are left, and leave 50 bytes below and 20 between.
    sizes = {"p": (50, 1, 1), "q": (40, 1, 2), "v": (20, 1, 1), "s": (15, 1, 2), "t": (10, 2, 2), "u": (11, 2, 2)}
    ends = [Symbol("start", 1, 0.0, 0, 0, "activation"), Symbol("end", 1, 0.0, 3, 3, "activation")]
    made = [Symbol(name, size, 0.0, first, last, "activation") for name, (size, first, last) in sizes.items()]
    addresses = plan([*made, *ends], 1e9).fast.addresses
    assert [addresses[symbol] for symbol in made] == [0, 50, 90, 110, 0, 90]


def test_too_much_for_both_tiers_is_refused_with_a_remedy() -> None:
    weights = [Symbol(f"w{i}", 10.0, 10.0, 0, 5, "weight") for i in range(10)]
    assert memory_plan(weights, Space("hbm", 40.0), Space("ddr", 60.0)).slow.peak == 60
    with pytest.raises(
        CapacityError, match=r"6 symbols .* hbm, in ddr: needs 60 B, there are 59 B; try fewer"
    ) as refused:
        memory_plan(weights, Space("hbm", 40.0), Space("ddr", 59.0))
    assert (refused.value.needed, refused.value.available) == (60, 59)


def test_nothing_takes_no_memory() -> None:
    assert plan([], 0.0).fast.peak == live_bytes([], DDR) == 0
