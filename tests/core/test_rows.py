from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.residency import Residency, policy
from simulator.core.row_policies import Step, row_policy
from simulator.core.row_traffic import RowTraffic, row_traffic
from simulator.core.rows import RowBuffer
from simulator.errors import ConfigError
from simulator.registry import names

ROWS = 12
tokens = st.lists(st.sets(st.integers(0, ROWS - 1), max_size=5), min_size=1, max_size=40)


def plain(trace: Sequence[set[int]]) -> list[Step]:
    active = [np.array(sorted(token), dtype=np.int32) for token in trace]
    return [Step(each, (each,)) for each in active]


def run(name: str, steps: list[Step], capacity: int = ROWS, window: int = 3) -> tuple[RowTraffic, RowBuffer]:
    buffer = RowBuffer(ROWS, capacity)
    return row_traffic(steps, buffer, row_policy(name)(ROWS, window, lambda: steps)), buffer


def holds(buffer: RowBuffer) -> set[int]:
    """The rows in use, once it is sure that pointers and slots say the same and the prefix is dense."""
    there = buffer.row[: buffer.used].tolist()
    assert len(set(there)) == buffer.used <= buffer.capacity
    assert [buffer.slot[row] for row in there] == list(range(buffer.used))
    assert np.count_nonzero(buffer.slot >= 0) == buffer.used
    return set(there)


@given(st.lists(st.tuples(st.sets(st.integers(0, ROWS - 1)), st.sets(st.integers(0, ROWS - 1))), max_size=30))
def test_a_buffer_holds_what_came_and_did_not_leave(changes: list[tuple[set[int], set[int]]]) -> None:
    buffer, expected = RowBuffer(ROWS, ROWS), set[int]()
    for leave, come in changes:
        end = len(expected - leave)
        in_the_way = sum(buffer.slot[row] < end for row in leave & expected)
        gone = np.array(sorted(leave), dtype=np.int32)
        assert buffer.delete(gone) == in_the_way, "as many copies as holes below the new end"
        expected -= leave
        assert holds(buffer) == expected
        missing = buffer.missing(np.array(sorted(come), dtype=np.int32))
        assert set(missing.tolist()) == come - expected
        buffer.insert(missing)
        expected |= come
        assert holds(buffer) == expected


def test_the_last_rows_fill_the_holes() -> None:
    buffer = RowBuffer(8, 8)
    buffer.insert(np.arange(6))
    assert buffer.delete(np.array([1, 5])) == 1  # 4 moves to where 1 was; 5 was at the end itself
    assert buffer.row[: buffer.used].tolist() == [0, 4, 2, 3]
    with pytest.raises(ValueError, match="9 are too many"):
        buffer.insert(np.array([1, 5, 6, 7, 1]))
    assert holds(buffer) == {0, 2, 3, 4}


@given(tokens, st.integers(1, 6))
def test_a_window_holds_the_rows_of_its_tokens_and_no_others(trace: list[set[int]], window: int) -> None:
    buffer = RowBuffer(ROWS, ROWS)
    keep = row_policy("window")(ROWS, window, list)
    for t, step in enumerate(plain(trace)):
        traffic = row_traffic([step], buffer, keep)
        before = set[int]().union(*trace[max(0, t - window) : t])
        assert holds(buffer) == set[int]().union(*trace[max(0, t + 1 - window) : t + 1])
        assert traffic.missed[0] == len(trace[t] - before), "the union of the window before is what it need not read"


@given(tokens, st.integers(1, 5))
def test_a_longer_window_never_reads_more(trace: list[set[int]], window: int) -> None:
    steps = plain(trace)
    assert (
        run("window", steps, window=window + 1)[0].missed.sum() <= run("window", steps, window=window)[0].missed.sum()
    )


@given(tokens, st.integers(5, ROWS - 1), st.sampled_from(["lru", "belady"]))
def test_more_room_never_reads_more(trace: list[set[int]], room: int, name: str) -> None:
    steps = plain(trace)
    assert run(name, steps, room + 1)[0].missed.sum() <= run(name, steps, room)[0].missed.sum()


@given(tokens, st.integers(1, ROWS))
def test_no_policy_reads_less_than_belady_in_the_same_room_nor_holds_more(trace: list[set[int]], room: int) -> None:
    steps = plain(trace)
    roomy = all(len(token) <= room for token in trace)
    best = run("belady", steps, room)[0].missed.sum()
    for name in names("rows"):
        if name == "window":  # takes the room that it needs
            continue
        traffic, buffer = run(name, steps, room)
        assert len(holds(buffer)) <= room
        assert np.all(traffic.held <= room)
        assert traffic.missed.sum() >= best or not roomy
        assert traffic.missed.sum() >= len(set[int]().union(*trace))


@given(tokens, st.integers(1, 6))
def test_a_window_lies_between_belady_and_reading_all(trace: list[set[int]], window: int) -> None:
    steps = plain(trace)
    traffic, _ = run("window", steps, window=window)
    peak = int((traffic.held + traffic.left).max())
    assert run("belady", steps, max(peak, 1))[0].missed.sum() <= traffic.missed.sum()
    assert traffic.missed.sum() <= run("none", steps)[0].missed.sum() == sum(map(len, trace))


@given(tokens, st.integers(1, 6))
def test_lru_with_the_room_of_a_window_reads_no_more_than_it(trace: list[set[int]], window: int) -> None:
    """It holds the last rows that were used, as many as fit: those of the window, and more."""
    steps = plain(trace)
    traffic, _ = run("window", steps, window=window)
    peak = max(int(traffic.held.max()), 1)
    assert run("lru", steps, peak)[0].missed.sum() <= traffic.missed.sum()


@given(tokens, st.integers(1, ROWS))
def test_books_balance(trace: list[set[int]], room: int) -> None:
    for name in names("rows"):
        traffic, buffer = run(name, plain(trace), ROWS if name == "window" else room)
        kept = np.diff(traffic.held, prepend=0) + traffic.left
        assert np.array_equal(kept + traffic.passed, traffic.missed)
        assert np.all(traffic.passed >= 0)
        assert np.all(traffic.moved <= traffic.left)
        assert buffer.used == traffic.held[-1]


@given(tokens, st.integers(5, ROWS), st.sampled_from(["lru", "lfu"]))
def test_caches_are_those_of_the_residency_of_single_keys(trace: list[set[int]], room: int, name: str) -> None:
    """What a token has is requested first, and pinned: then it asks for what it lacks."""
    traffic, buffer = run(name, plain(trace), room)
    cache = Residency(room, policy(name, []))
    for t, token in enumerate(trace):
        hits = [row for row in sorted(token) if row in cache]
        misses = [row for row in sorted(token) if row not in cache]
        before = cache.misses
        for row in hits:
            cache.request(row, 1)
            cache.pin(row)
        for row in misses:
            cache.request(row, 1)
            cache.pin(row)
        for row in token:
            cache.unpin(row)
        assert cache.misses - before == traffic.missed[t]
    assert holds(buffer) == set(cache)  # type: ignore[arg-type]


@given(tokens, st.integers(5, ROWS))
def test_belady_gives_up_what_is_needed_last_and_of_equals_the_first_row(trace: list[set[int]], room: int) -> None:
    steps, held = plain(trace), set[int]()
    buffer = RowBuffer(ROWS, room)
    keep = row_policy("belady")(ROWS, 0, lambda: steps)
    for t, (token, step) in enumerate(zip(trace, steps, strict=True)):
        row_traffic([step], buffer, keep)
        needed = {row: [later for later in range(t + 1, len(trace)) if row in trace[later]] for row in held}
        spare = sorted(held - token, key=lambda row: (-min(needed[row], default=len(trace)), row))
        held = held.union(token).difference(spare[: max(len(held | token) - room, 0)])
        assert holds(buffer) == held


@given(tokens, st.integers(1, 8), st.integers(5, ROWS))
def test_a_dynamic_window_is_the_longest_that_fits(trace: list[set[int]], window: int, room: int) -> None:
    buffer = RowBuffer(ROWS, room)
    keep = row_policy("dynamic_window")(ROWS, window, list)
    length = 0
    for t, step in enumerate(plain(trace)):
        row_traffic([step], buffer, keep)
        length = min(length + 1, window)
        while len(set[int]().union(*trace[t + 1 - length : t + 1])) > room:
            length -= 1
        assert holds(buffer) == set[int]().union(*trace[t + 1 - length : t + 1])


def test_rows_beyond_the_room_pass_through() -> None:
    traffic, buffer = run("lru", plain([{0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}]), 3)
    assert (traffic.missed.tolist(), traffic.held.tolist()) == ([5, 2], [3, 3])
    assert holds(buffer) == {0, 1, 2}


@given(tokens, st.integers(1, 4), st.integers(1, 4), st.data())
def test_tokens_that_do_not_count_leave_with_the_next_step(
    trace: list[set[int]], window: int, drafted: int, data: st.DataObject
) -> None:
    """Steps of several tokens: only those that count are history, the others are held for the step alone."""
    buffer = RowBuffer(ROWS, ROWS)
    keep = row_policy("window")(ROWS, window, list)
    past: list[set[int]] = []
    at = 0
    while at < len(trace):
        step = trace[at : at + drafted]
        counts = data.draw(st.integers(1, len(step)))
        arrays = [s.active for s in plain(step)]
        union = set[int]().union(*step)
        active = np.array(sorted(union), dtype=np.int32)
        before = holds(buffer)
        traffic = row_traffic([Step(active, tuple(arrays[:counts]))], buffer, keep)
        assert traffic.missed[0] == len(union - before)
        past = (past + step[:counts])[-window:]
        assert holds(buffer) == set[int]().union(*past) | union
        at += counts


@given(tokens, st.integers(2, 5), st.integers(5, ROWS))
def test_a_dynamic_window_keeps_no_orphans_of_tokens_that_did_not_count(
    trace: list[set[int]], drafted: int, room: int
) -> None:
    """After a step: its own rows, and those of a run of the last tokens that counted; nothing else."""
    buffer = RowBuffer(ROWS, room)
    keep = row_policy("dynamic_window")(ROWS, 6, list)
    past: list[set[int]] = []
    for at in range(0, len(trace), drafted):
        step = trace[at : at + drafted]
        union = set[int]().union(*step)
        if len(union) > room:
            continue
        arrays = [s.active for s in plain(step)]
        row_traffic([Step(np.array(sorted(union), dtype=np.int32), tuple(arrays[:1]))], buffer, keep)
        past.append(step[0])
        there = holds(buffer)
        assert union <= there
        runs = [set[int]().union(*past[-length:]) for length in range(1, 7)]
        assert there - union in [each - union for each in runs]


def test_an_unknown_policy_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="belady"):
        row_policy("beladi")
