"""What schedulers have in common: who of those that run keeps a place, and who of those that wait gets one."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, Literal, NamedTuple

from simulator.serving.service.scheduler import Decision, Preemption, View
from simulator.serving.service.sequence import Sequence

Reserve = Literal["chunk", "prompt", "all"]
"""For what a sequence that joins gets room: for its first chunk, for its prompt, or for all tokens that it may have."""
Chunks = list[tuple[Sequence, int]]


class Kept(NamedTuple):
    """Those that lose their place, the chunks of those that keep it, and what is left of tokens and of blocks."""

    preempt: tuple[tuple[Sequence, Preemption], ...]
    chunks: Chunks
    tokens: float
    free: int


class Joined(NamedTuple):
    """The first chunks of those that join, what they get room for, and whether only an end lets in more."""

    chunks: Chunks
    reserve: dict[Sequence, int]
    closed: bool


def kept(view: View, tokens: float = inf, how: Preemption = "recompute") -> Kept:
    """One token of each that decodes and the next chunk of each other that runs, while blocks last.

    Where there is no block for one, the last in the order of the queue loses its place, and so on.
    """
    tokens -= view.count
    free = view.store.free - view.growth
    chunks: Chunks = []
    if free >= 0:
        for sequence in view.prefilling:
            new = min(sequence.left, tokens)
            blocks = _blocks(view, sequence, new)
            if blocks > free:
                break
            if new:
                chunks.append((sequence, int(new)))
            tokens, free = tokens - new, free - blocks
        else:
            return Kept((), chunks, tokens, free)
    return _made_room(view, tokens + sum(new for _, new in chunks), how)


def chunked(
    view: View, tokens: float, most: int, reserve: Reserve = "chunk", fits: bool = True, spare: int = 0
) -> Decision:
    """Those that run go on, then those that wait join with chunks of the `tokens` left, while `spare` blocks stay.

    Where one loses its place nobody joins.
    """
    keeps = kept(view, tokens)
    if keeps.preempt:
        return Decision(tuple(keeps.chunks), preempt=keeps.preempt)
    joins = joined(view, keeps.tokens, most, keeps.free - spare, reserve, fits=fits)
    return Decision((*keeps.chunks, *joins.chunks), reserve=joins.reserve, closed=joins.closed)


def _made_room(view: View, tokens: float, how: Preemption) -> Kept:
    """The same where blocks do not last: those that run are looked at one by one, in the order in which they joined."""
    runs, free = list(view.running), view.store.free
    given: dict[Sequence, tuple[int, int]] = {}
    lost: list[Sequence] = []
    for sequence in runs:
        if sequence in lost:
            continue
        new = 1 if sequence.decoding else min(sequence.left, int(min(tokens, sequence.left)))
        blocks = _blocks(view, sequence, new)
        while blocks > free:
            victim = max((each for each in runs if each not in lost), key=lambda each: (each.rank, each.number))
            lost.append(victim)
            taken, of_tokens = given.pop(victim, (0, 0))
            free += taken + view.store.freed(victim, view.room(victim))
            tokens += of_tokens
            if victim is sequence:
                break
        else:
            given[sequence] = blocks, 0 if sequence.decoding else new
            free -= blocks
            tokens -= 0 if sequence.decoding else new
    chunks = [(sequence, new) for sequence, (_, new) in given.items() if new and not sequence.decoding]
    return Kept(tuple((each, how) for each in lost), chunks, tokens, free)


def _blocks(view: View, sequence: Sequence, new: float) -> int:
    """Blocks that a sequence that runs needs for so many tokens more."""
    size = view.store.size
    room, context = view.room(sequence), view.context(sequence)
    return max(-(-int(context + new) // size) + room // -size, 0)


def joined(
    view: View,
    tokens: float,
    most: int,
    free: int,
    reserve: Reserve = "chunk",
    whole: bool = False,
    fits: bool = True,
    queue: Iterable[Sequence] | None = None,
) -> Joined:
    """Those that wait join in their order, while there are tokens, places and `free` blocks; the first for which there
    is no room stops all behind it.

    `whole`: prompts are not cut into chunks; one of more tokens than there are is computed without others. `fits`: a
    sequence joins only where all its tokens so far would fit, even if its chunk alone is given room.
    """
    chunks: Chunks = []
    rooms: dict[Sequence, int] = {}
    store, places = view.store, most - len(view.running) - len(view.swapped)
    if places <= 0:
        return Joined(chunks, rooms, True)
    size = store.size
    beside: dict[Any, int] = {}
    for sequence in view.waiting if queue is None else queue:
        if places == 0 or tokens <= 0:
            break
        cached, held = store.match(sequence, beside)
        left = 0 if sequence.handed else sequence.target - cached
        new = left if left <= tokens or whole else int(tokens)
        if new > tokens and chunks:
            break
        room = sequence.target if sequence.handed else cached + new
        if reserve != "chunk":
            room = sequence.target if reserve == "prompt" else sequence.input + sequence.known
            rooms[sequence] = room
        needed = -(-(sequence.target if fits and sequence.target > room else room) // size) - held
        if needed > free:
            rooms.pop(sequence, None)
            return Joined(chunks, rooms, view.waiting.first_come)
        free -= -(-room // size) - held
        chunks.append((sequence, new))
        tokens -= new
        places -= 1
    return Joined(chunks, rooms, places == 0)
