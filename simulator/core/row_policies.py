"""Which rows leave a buffer when a step needs others: a window over the last tokens, and caches as its rivals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.core.row_uses import RowUses
from simulator.core.rows import Ints, RowBuffer
from simulator.registry import register, registered

NONE: Ints = np.empty(0, dtype=np.intp)


class Step(NamedTuple):
    """The rows that one step needs together, rising; and those of each of its tokens that count as used, in order.

    A decode step is one token, which counts. A speculative one has several, of which the last may not count.
    """

    active: Ints
    used: tuple[Ints, ...]


class RowPolicy(Protocol):
    """Decides what leaves a buffer. Made for one layer; called once for each step, in order.

    A policy that keeps nothing from step to step may say so with `transient = True`: one buffer then serves all layers.
    One that has no window may say so with `windowed = False`: a window that a mapping gives is then refused.
    """

    def leaving(self, step: Step, buffer: RowBuffer) -> Ints:
        """The rows, out of those in the buffer, that leave before what the step lacks comes in; none that it needs.

        What then finds no room passes through. Must not change the buffer.
        """


class Makes(Protocol):
    """What is registered (`rows`): makes the policy of one layer.

    `rows` of the layer; `window`: tokens that are to be held; `future()`: the steps to come, which only a bound reads.
    """

    def __call__(self, rows: int, window: int, future: Callable[[], Iterable[Step]]) -> RowPolicy: ...


def row_policy(name: str) -> Makes:
    """A registered policy by name.

    Raises:
        ConfigError: there is none; names those that are there.
    """
    policy: Makes = registered("rows", name)
    return policy


@register("rows", "none")
class Nothing:
    """All that is there leaves: each step reads all that it needs. Layers may then share one buffer."""

    transient = True
    windowed = False

    def __init__(self, rows: int, window: int, future: Callable[[], Iterable[Step]]) -> None:
        pass

    def leaving(self, step: Step, buffer: RowBuffer) -> Ints:
        return buffer.row[: buffer.used].copy()


@register("rows", "window")
class Window:
    """The rows of the last `window` tokens stay, those of the step included (arXiv 2312.11514, section 3.1).

    It takes the room that it needs: what a smaller buffer cannot hold passes through.
    """

    def __init__(self, rows: int, window: int, future: Callable[[], Iterable[Step]]) -> None:
        self.window = window
        self._uses = RowUses(rows)
        self._unused: Ints = NONE  # rows that came for tokens which did not count

    def leaving(self, step: Step, buffer: RowBuffer) -> Ints:
        return self._less(step, self._moved_on(step))

    def _moved_on(self, step: Step) -> list[Ints]:
        """Takes the tokens of a step into the window, and gives the rows that fall out of it."""
        for rows in step.used:
            self._uses.add(rows)
        dropped = [self._unused]
        while len(self._uses) > self.window:
            dropped.append(self._uses.drop_oldest())
        return dropped

    def _less(self, step: Step, dropped: list[Ints]) -> Ints:
        """Without those that a token needs which does not count: they go later, with what else came for it."""
        leaving = np.concatenate(dropped) if len(dropped) > 1 else dropped[0]
        if _alone(step):
            self._unused = NONE
            return leaving
        last, held = self._uses.last, self._uses.first
        self._unused = step.active[last[step.active] < held]
        return np.unique(leaving[~_mask(step, len(last))[leaving] & (last[leaving] < held)])


@register("rows", "dynamic_window")
class DynamicWindow(Window):
    """A window of at most `window` tokens that gives up its oldest ones while the buffer is too small."""

    def leaving(self, step: Step, buffer: RowBuffer) -> Ints:
        dropped = self._moved_on(step)
        needed = None if _alone(step) else _mask(step, len(self._uses.last))

        def room(rows: Ints) -> int:
            present = buffer.present[rows]
            return int(np.count_nonzero(present if needed is None else present & ~needed[rows]))

        spare = buffer.capacity - buffer.used - len(buffer.missing(step.active)) + sum(map(room, dropped))
        while spare < 0 and len(self._uses) > 1:
            dropped.append(self._uses.drop_oldest())
            spare += room(dropped[-1])
        return self._less(step, dropped)


def _alone(step: Step) -> bool:
    """Whether it is one token, which counts."""
    return len(step.used) == 1 and step.used[0] is step.active


def _mask(step: Step, rows: int) -> NDArray[np.bool_]:
    """Which rows a step needs."""
    needed = np.zeros(rows, dtype=bool)
    needed[step.active] = True
    return needed


@register("rows", "lru")
class LeastRecent:
    """Least recently used leaves first: of one step, what was there goes before what came for it."""

    windowed = False

    def __init__(self, rows: int, window: int, future: Callable[[], Iterable[Step]]) -> None:
        self._uses = RowUses(rows)

    def leaving(self, step: Step, buffer: RowBuffer) -> Ints:
        present = buffer.present[step.active]
        hits = step.active.compress(present)
        self._uses.add(np.concatenate([hits, step.active.compress(~present)]))
        excess = buffer.used + len(present) - len(hits) - buffer.capacity
        excess = min(excess, buffer.used - len(hits))
        dropped = [NONE]
        while excess > 0:
            rows = self._uses.drop_oldest()
            rows = rows.compress(buffer.present[rows])
            if len(rows) > excess:
                self._uses.put_back(rows[excess:])
            dropped.append(rows[:excess])
            excess -= len(dropped[-1])
        return np.concatenate(dropped)


class _Cache:
    """Rows stay until there is no room; those of the lowest level leave, of those that the step does not need.

    Of rows of one level those of the lowest order leave, which no two share. They leave in the order of their slots.
    """

    windowed = False

    def __init__(self, rows: int, window: int, future: Callable[[], Iterable[Step]]) -> None:
        self._level = np.zeros(rows, dtype=np.int32)  # small numbers, which are counted
        self._order = np.arange(rows)

    def leaving(self, step: Step, buffer: RowBuffer) -> Ints:
        slots = buffer.slot[step.active]
        present = slots >= 0
        self._seen(step.active, step.active.compress(~present))
        hits = int(np.count_nonzero(present))
        excess = buffer.used + len(slots) - hits - buffer.capacity
        excess = min(excess, buffer.used - hits)
        if excess <= 0:
            return NONE
        resident = buffer.row[: buffer.used]
        level = self._level.take(resident)
        level[slots.compress(present)] = level.max() + 1
        last = np.bincount(level).cumsum().searchsorted(excess)
        lowest = (level <= last).nonzero()[0]
        order = np.where(level[lowest] < last, -1, self._order[resident[lowest]])
        leaving: Ints = resident[lowest[order <= np.sort(order)[excess - 1]]]
        return leaving

    def _seen(self, active: Ints, misses: Ints) -> None:
        """Gives the rows of a step their level and order."""
        raise NotImplementedError


@register("rows", "lfu")
class LeastFrequent(_Cache):
    """Least often used leaves first, of equals the one that entered first; counts go on after a row has left."""

    def __init__(self, rows: int, window: int, future: Callable[[], Iterable[Step]]) -> None:
        super().__init__(rows, window, future)
        self._entered = 0  # rows that entered so far

    def _seen(self, active: Ints, misses: Ints) -> None:
        self._level[active] += 1
        self._order[misses] = np.arange(self._entered, self._entered + len(misses))
        self._entered += len(misses)


@register("rows", "belady")
class FarthestNext(_Cache):
    """What is needed again last leaves first, of equals the first row: a bound, and no design (Belady 1966)."""

    def __init__(self, rows: int, window: int, future: Callable[[], Iterable[Step]]) -> None:
        super().__init__(rows, window, future)
        self._behind = iter(_behind_next_uses(rows, [step.active for step in future()]))

    def _seen(self, active: Ints, misses: Ints) -> None:
        self._level[active] = next(self._behind)


def _behind_next_uses(rows: int, steps: Sequence[Ints]) -> list[Ints]:
    """For each row of each step, how many steps there are from the next one that needs it on; 0 where none does."""
    behind = np.zeros(rows, dtype=np.int32)
    of_steps: list[Ints] = []
    for left, step in enumerate(reversed(steps), start=1):
        of_steps.append(behind[step])
        behind[step] = left
    return of_steps[::-1]
