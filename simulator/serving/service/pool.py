"""A pool: devices with one clock, which serve sequences iteration by iteration as their scheduler decides.

The loop is `advance`: whoever has arrived waits; the scheduler decides; the pool does it. An iteration that computes
prompts is done alone. Iterations in which all decode and nobody comes or goes are one run (`iteration.py`), whatever
their number: up to the first that ends a sequence, to the last for which there are blocks, to the next arrival that may
join, and to where the scheduler says that it may think anew. While sequences decode, nothing of them changes but one
number that counts for all; blocks are counted by what contexts leave modulo their size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Sequence_
from heapq import heappop, heappush
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulator.core import add
from simulator.core.closed_form import alone
from simulator.errors import CapacityError, ConfigError
from simulator.serving.iteration.iterations import Iterations, Run
from simulator.serving.iteration.lockstep import Sums
from simulator.serving.kv.blocks import Store
from simulator.serving.kv.copies import Copies
from simulator.serving.kv.sequences import Swap, no_swap
from simulator.serving.record.gaps import Gaps
from simulator.serving.service.decoding import Decoding
from simulator.serving.service.scheduler import Decision, Preemption, Scheduler
from simulator.serving.service.sequence import Sequence
from simulator.serving.service.turns import Home
from simulator.serving.service.waiting import ByModel, Waiting, waiting
from simulator.serving.service.work import Work

if TYPE_CHECKING:
    from simulator.serving.iteration.flow_shop import FlowShop

Watch = Callable[["Pool", float, int, int, int], None]
"""Is shown each iteration or run: the pool after it, when it began, how many iterations it had, the sequences that
decoded and the tokens of prompts that were computed."""


class Chosen(NamedTuple):
    """What an iteration computes: a decision, its chunks of prompts, and what its time hangs on.

    Attributes:
        sums: over its sequences, as `Iterations.mixed` takes them.
        seen: of each cut of the model, as `Iterations` takes it where there are chunks, and where there are none.
    """

    decision: Decision
    chunks: Sequence_[tuple[Sequence, int]]
    sums: Sums
    seen: tuple[float, ...]


class Pool:
    """Devices that work in lockstep, with a clock, a queue, a store of keys and values and a scheduler.

    Attributes, beside those that its scheduler sees (`View`):
        decoding: the sequences that decode.
        number: iterations so far.
        before: when the iteration before began.
        ahead: whether an iteration is chosen then already, so that who has come since waits for the next.
        busy: seconds in which it worked.
        gaps: seconds between a token of a sequence and the next.
        work: what its iterations have computed.
        moves: blocks that were copied between tiers, by both.
        loaded: the model whose weights are in memory, where several take turns.
    """

    def __init__(
        self,
        iterations: Iterations | FlowShop,
        store: Store,
        scheduler: Scheduler,
        order: str = "fcfs",
        ended: Callable[[Sequence], None] = lambda sequence: None,
        swap: Swap = no_swap,
        watch: Watch | None = None,
        ahead: bool = False,
        copies: Copies | None = None,
        home: Home | None = None,
    ) -> None:
        self.iterations, self.store, self.scheduler = iterations, store, scheduler
        self.ended, self.swap, self.watch = ended, swap, watch
        self.ahead, self.copies = ahead, copies
        self.home, self.loaded = home, None if home else ""
        self.waiting: Waiting = ByModel(order) if home else waiting(order)
        self.running: dict[Sequence, None] = {}
        self.prefilling: dict[Sequence, None] = {}
        self.swapped: dict[Sequence, None] = {}
        self.now = self.before = self.busy = 0.0
        self.number = self.prompt_tokens = self.answer_tokens = self.preemptions = self.hits = 0
        self.decoding = Decoding(store.size, iterations.cuts)
        self.gaps, self.work = Gaps(), Work()
        self.moves: Counter[tuple[int, int]] = Counter()
        self._chosen = 0.0  # when the iteration is chosen that begins now
        self._moved = 0.0  # seconds of copies before the next iteration
        self._moves: Counter[tuple[int, int]] = Counter()  # blocks that are copied beside it
        self._coming: list[tuple[float, int, Sequence]] = []  # keys and values on a link, by when they are here
        self._wake = 0.0  # until when nothing can be done, whoever waits
        self._arriving: list[tuple[float, int, Sequence]] = []
        self._cuts = iterations.cuts

    # what its scheduler sees

    @property
    def count(self) -> int:
        return self.decoding.count

    @property
    def growth(self) -> int:
        return self.decoding.growth

    def context(self, sequence: Sequence) -> int:
        return sequence.base + self.decoding.steps if sequence.decoding else sequence.computed

    def room(self, sequence: Sequence) -> int:
        return max(sequence.reserved, self.context(sequence))

    @property
    def _unseen(self) -> bool:
        """Whether somebody has come who is not known to the iteration that begins now."""
        return self.ahead and bool(self._arriving) and self._arriving[0][0] <= self.now

    @property
    def outstanding(self) -> int:
        """Sequences that have come, or will, and have not ended."""
        return len(self.running) + len(self.waiting) + len(self.swapped) + len(self._arriving)

    @property
    def queued(self) -> Iterator[Sequence]:
        """Sequences that wait, or will come."""
        return chain(self.waiting, (sequence for _, _, sequence in self._arriving))

    @property
    def joins_from(self) -> float:
        """The time before which nobody who is known can join, and no transfer to it begins."""
        first = self._arriving[0][0] if self._arriving else inf
        return max(self.now, min(self._wake, first) if self.waiting else first)

    @property
    def begins(self) -> float:
        """The time before which it chooses no iteration; inf where nobody is here, or known to come."""
        first = self._arriving[0][0] if self._arriving else inf
        here = self.running or self.waiting or self.swapped
        return max(self.now, min(self._wake, first) if here else first)

    # the loop

    def arrive(self, sequence: Sequence) -> None:
        """A sequence will come at its time of arrival, which is not before the clock.

        Raises:
            CapacityError: not even alone it has room.
        """
        needed = -(-(sequence.input + sequence.output - 1) // self.store.size)
        if needed > self.store.total:
            raise CapacityError(
                f"request {sequence.request.request_id}, {sequence.input} + {sequence.output} tokens",
                needed=float(needed),
                available=float(self.store.total),
                remedy="shorter requests, more memory (more `kv_store.blocks`, if given), or a smaller kv",
                unit="blocks",
            )
        heappush(self._arriving, (sequence.arrival, sequence.number, sequence))

    def advance(self, limit: float = inf) -> None:
        """Serve until the clock is at `limit` or beyond, or nothing is left to do; all who arrive before are known."""
        arriving = self._arriving
        while True:
            self._known()
            if self.now >= limit:
                return
            if self.running or self.waiting or self.swapped:
                if not self._serve(self.scheduler.decide(self), limit):
                    return
            elif arriving and arriving[0][0] < limit:
                self.now = arriving[0][0]
            else:
                return

    def _known(self) -> None:
        """Who has come is known to the iteration that begins now, and who has room decodes."""
        self._chosen = self.before if self.ahead and self.running else self.now
        while self._arriving and self._arriving[0][0] <= self._chosen:
            self.waiting.push(heappop(self._arriving)[2])
        self._settle()

    def _serve(self, decision: Decision, limit: float) -> bool:
        """Do what is decided; whether the clock went on."""
        start, number, self._wake = self.now, self.number, 0.0
        if decision.load is not None:
            self._load(decision.load)
        chosen = self._choose(decision)
        if chosen is None:
            if decision.load is None and not self._wait(limit):
                return False
        elif chosen.chunks:
            self._computed(chosen, self.iterations.mixed(*chosen.sums, self.number, chosen.seen))
        else:
            self._decode(chosen, limit)
        self._show(chosen, start, self.number - number)
        return True

    # an iteration that waits for those of others

    def choose(self, now: float) -> Chosen | None:
        """What it computes in an iteration that begins now, at the same time as those of others; None: nothing."""
        if now > self.now:
            self.now = self.before = now
        self._known()
        self._wake = 0.0
        here = self.running or self.waiting or self.swapped
        return self._choose(self.scheduler.decide(self)) if here else None

    def commit(self, chosen: Chosen | None, seconds: float, routed: int) -> None:
        """The iteration has taken so long; its experts had so many tokens, of all who share them."""
        start = self.now
        if chosen is None:
            self.work.routed(routed)
            self.number, self.before = self.number + 1, start
            self._pass(seconds)
        elif chosen.chunks:
            self._computed(chosen, seconds, routed)
        else:
            self._decoded(chosen, Run(1, seconds, seconds, seconds), (0,) * len(chosen.seen), routed=routed)
        self._show(chosen, start, 1)

    def rest(self) -> None:
        """It chooses nothing until someone arrives, or its scheduler wakes up."""
        self._wake = self.scheduler.stable_until(self)

    def _show(self, chosen: Chosen | None, start: float, number: int) -> None:
        """Who watches sees what was done."""
        if self.watch is not None:
            _, tokens, _, _, decoding, _ = chosen.sums if chosen else (0,) * 6
            self.watch(self, start, number, decoding, tokens)

    # what is decided

    def _choose(self, decision: Decision) -> Chosen | None:
        """Who loses its place does, and who comes back or joins takes one; what is computed then, if anything."""
        for sequence, how in decision.preempt:
            self._lose(sequence, how)
        for sequence in decision.back:
            self._return(sequence)
        chunks = self._fetched(decision)
        if chunks:
            return self._joined(decision, chunks)
        if self.count and (decision.decode or decision.chunks):
            seen = self.decoding.keys() if self._cuts else ()
            return Chosen(decision, (), (0, 0, 0.0, 0, self.count, self.decoding.cached), seen)
        return None

    def _wait(self, limit: float) -> bool:
        """Nothing can be done until someone arrives, or the scheduler wakes up; what is done then is chosen then.

        Raises:
            ConfigError: nobody does, and it does not.
        """
        wake = min(self._arriving[0][0] if self._arriving else inf, self.scheduler.stable_until(self))
        if self._coming:
            wake = min(wake, self._coming[0][0])
        if wake == limit == inf:
            first = next(iter(self.waiting), None) or next(iter(self.swapped))
            raise ConfigError(
                f"request {first.request.request_id} never joins",
                found=f"{first.input:,} tokens, and an answer of up to {first.known:,}",
                expected=f"what its scheduler lets into {self.store.total:,} blocks of {self.store.size} tokens",
            )
        if wake >= limit:
            self._wake = wake
            return False
        self.now = self.before = max(self.now, wake)
        return True

    def _load(self, model: str) -> None:
        """The weights of a model are copied to memory; who comes meanwhile is seen by what is decided next.

        Raises:
            CapacityError: there is no room for those of all that have been asked for.
        """
        home, queues = self.home, self.waiting
        assert home is not None and isinstance(queues, ByModel)
        if queues.met * home.bytes > home.capacity:
            raise CapacityError(
                f"the weights of {queues.met} models in {home.tier}",
                needed=queues.met * home.bytes,
                available=home.capacity,
                remedy=f"requests to at most {int(home.capacity / home.bytes)} models, or a larger tier",
            )
        self.loaded = model
        self.work.loads += 1
        add(self.work.copied, home.load.demand)
        seconds = float(np.max(alone(home.load)))
        self.now += seconds
        self.busy += seconds

    def _decode(self, chosen: Chosen, limit: float) -> None:
        """A run of iterations in which all decode."""
        decoding, now, decision = self.decoding, self.now, chosen.decision
        most = decoding.until_end()
        moved = self._moved or self._moves
        if moved or self.gaps.waiting or decision.preempt or (self._unseen and not decision.closed):
            most = 1
        else:
            blocks = self.store.quiet
            if decision.by_cache and not decision.closed:
                blocks = min(blocks, self.store.unsought(self.waiting))
            most = decoding.within(blocks, most)
        wake = min(limit, self.scheduler.stable_until(self))
        if self._coming:
            wake = min(wake, self._coming[0][0])
        if not decision.closed and self._arriving and now < self._arriving[0][0] < wake:
            wake = self._arriving[0][0]
        rising: tuple[int, ...] = ()
        if self._cuts:
            most, rising = decoding.alike(most), decoding.rising()
        run = self.iterations.run(decoding.count, decoding.cached, most, wake - now, self.number, chosen.seen, rising)
        self._decoded(chosen, run, rising, wake)

    def _decoded(
        self, chosen: Chosen, run: Run, rising: tuple[int, ...], wake: float = inf, routed: int | None = None
    ) -> None:
        """All that decode have had their tokens, in iterations that take so long, or to when the pool wakes."""
        decoding, now, moved = self.decoding, self.now, self._moved
        number, seconds, first, last = run
        self._grow(decoding.blocks(number))
        if self._moves:  # of one iteration alone
            seconds = first = last = self._copied(seconds)
        self.work.decoding(decoding.count, decoding.cached, number, chosen.seen, rising, routed)
        self.number += number
        self._pass(seconds)
        if seconds >= wake - now > self.now - now:  # the last digit of a sum
            self.now = wake
        self.before = now if number == 1 else self.now - last
        self._give(number, first + moved, last + moved)
        self._leave()

    def _fetched(self, decision: Decision) -> Sequence_[tuple[Sequence, int]]:
        """Room is taken for those whose keys and values come over a link, which begin to; the other chunks."""
        if all(new for _, new in decision.chunks):
            return decision.chunks
        for sequence, new in decision.chunks:
            if not new and sequence.handed:
                found = self._join(sequence, {})
                del self.prefilling[sequence]
                self._grow(-(-sequence.target // self.store.size) - found // self.store.size)
                sequence.computed = sequence.target
                here = sequence.handed.carry(self.now, sequence.target - found)
                add(self.work.copied, sequence.handed.copy(sequence.target - found).demand)
                heappush(self._coming, (here, sequence.number, sequence))
        return [(sequence, new) for sequence, new in decision.chunks if new]

    def _settle(self) -> None:
        """Those whose keys and values are here decode from now on."""
        coming = self._coming
        while coming and coming[0][0] <= self.now:
            _, _, sequence = heappop(coming)
            if sequence.handed and sequence in self.running:
                sequence.handed = None
                self.store.computed(sequence)
                self.gaps.join(self.now, self.count, sequence.first)
                self.decoding.begin(sequence, sequence.target, sequence.output - sequence.generated)

    def _joined(self, decision: Decision, chunks: Sequence_[tuple[Sequence, int]]) -> Chosen:
        """Chunks of prompts, beside those that decode or while these wait; there is room for their tokens then."""
        size, blocks, tokens, past, pairs = self.store.size, 0, 0, 0, 0.0
        spans: list[tuple[int, int]] = []
        for sequence, new in chunks:
            if sequence in self.running:
                before = -(-self.room(sequence) // size)
            else:
                before = self._join(sequence, decision.reserve) // size
            done = sequence.computed
            blocks += -(-max(sequence.reserved, done + new) // size) - before
            tokens += new
            past += done
            pairs += new * done + new * (new + 1) / 2
            spans.append((new, done))
        decoding, decode = self.decoding, decision.decode and self.count > 0
        self._grow(blocks + (self.growth if decode else 0))
        beside = (decoding.count, decoding.cached) if decode else (0, 0)
        cuts = self._cut(spans, decode) if self._cuts else ()
        return Chosen(decision, chunks, (len(chunks), tokens, pairs, past, *beside), cuts)

    def _computed(self, chosen: Chosen, seconds: float, routed: int | None = None) -> None:
        """An iteration has computed chunks of prompts in so many seconds."""
        decoding, seconds = self.decoding, self._copied(seconds)
        self.work.mixed(*chosen.sums, chosen.seen, routed)
        decode = chosen.sums[4] > 0
        if not decode:
            self.gaps.hold(self.now, decoding.count)
        moved = self._moved
        self.number += 1
        self.prompt_tokens += chosen.sums[1]
        self.before = self.now
        self._pass(seconds)
        if decode:
            self._give(1, seconds + moved, seconds + moved)
        already = decoding.count
        for sequence, new in chosen.chunks:
            self._advanced(sequence, new)
        self._leave()
        self.gaps.begin(self.now, max(decoding.count - already, 0))

    def _cut(self, spans: Sequence_[tuple[int, int]], decode: bool) -> tuple[float, ...]:
        """Of each cut of the model, pairs and keys of chunks (new tokens, past ones), and keys of those that decode."""
        seen = self.decoding.keys() if decode else (0.0,) * len(self._cuts)
        features: list[float] = []
        for cut, keys in zip(self._cuts, seen, strict=True):
            features.append(float(sum(cut.pairs(*span) for span in spans)))
            features += (float(sum(cut.keys(*span) for span in spans)), keys)
        return tuple(features)

    # what happens to the clock and the store

    def _pass(self, seconds: float) -> None:
        seconds += self._moved
        self.now += seconds
        self.busy += seconds
        self._moved = 0.0

    def _give(self, number: int, first: float, last: float) -> None:
        """All that decode have had so many tokens more, the first and the last after so many seconds."""
        count = self.decoding.count
        self.gaps.give(self.now, count, number, first, last)
        self.decoding.advance(number)
        self.answer_tokens += count * number

    def _grow(self, blocks: int) -> None:
        """So many blocks more are held; what is copied for it goes beside the next iteration."""
        moves = self.store.grow(blocks)
        if moves:
            self._moves.update(moves)

    def _copied(self, seconds: float) -> float:
        """Seconds of an iteration with the copies of blocks that it waits for."""
        if not self._moves or self.copies is None:
            return seconds
        together = self.copies.beside(self._moves, seconds)
        add(self.work.copied, self.copies.demand(self._moves))
        self.moves.update(self._moves)
        self._moves.clear()
        return together

    # what happens to a sequence

    def _join(self, sequence: Sequence, reserve: Mapping[Sequence, int]) -> int:
        """One that waits gets a place, with what is cached of it; tokens of which there are blocks already."""
        self.waiting.remove(sequence)
        self.running[sequence] = self.prefilling[sequence] = None
        sequence.computed = self.store.join(sequence)
        sequence.reserved = reserve.get(sequence, 0)
        if sequence.scheduled != sequence.scheduled:
            sequence.scheduled, sequence.hits = self._chosen, sequence.computed
        self.hits += sequence.computed
        return sequence.computed

    def _advanced(self, sequence: Sequence, new: int) -> None:
        """So many tokens more are computed: with the last of them comes a token, and it decodes from then on."""
        sequence.computed += new
        self.store.computed(sequence)
        if sequence.computed < sequence.target:
            return
        del self.prefilling[sequence]
        self.answer_tokens += 1
        if sequence.first != sequence.first:
            sequence.first = self.now
        else:
            self.gaps.digest.add(self.now - sequence.paused, 1)
        sequence.generated += 1
        self.decoding.begin(sequence, sequence.target, sequence.output - sequence.generated)

    def _leave(self) -> None:
        """Those that have all their tokens end."""
        for sequence in self.decoding.ended():
            room = self.room(sequence)
            sequence.computed = self.decoding.stop(sequence)
            del self.running[sequence]
            self.store.leave(sequence, room, ended=True)
            sequence.last = self.now
            self.ended(sequence)

    def _lose(self, sequence: Sequence, how: Preemption) -> None:
        """A sequence loses its place: what was computed of it is lost, or copied to another tier."""
        self.preemptions += 1
        sequence.preemptions += 1
        room, sequence.handed = self.room(sequence), None
        del self.running[sequence]
        self.prefilling.pop(sequence, None)
        if sequence.decoding:
            sequence.paused = self.gaps.lose(self.now)
            sequence.generated = sequence.output - (sequence.end - self.decoding.steps)
            sequence.computed = self.decoding.stop(sequence)
        self.store.leave(sequence, room, ended=False)
        if how == "swap" and sequence.computed == sequence.input + sequence.generated - 1:
            self._swap(sequence, back=False)
            self.swapped[sequence] = None
            return
        sequence.target, sequence.computed, sequence.reserved = sequence.input + sequence.generated, 0, 0
        self.waiting.push(sequence)

    def _return(self, sequence: Sequence) -> None:
        """A sequence comes back from another tier, and decodes on."""
        del self.swapped[sequence]
        self.running[sequence] = None
        self._grow(-(-self.room(sequence) // self.store.size))
        self._swap(sequence, back=True)
        self.gaps.join(self.now, self.count, sequence.paused)
        self.decoding.begin(sequence, sequence.computed, sequence.output - sequence.generated)

    def _swap(self, sequence: Sequence, back: bool) -> None:
        """What is computed of a sequence is copied to another tier, or back, before the next iteration."""
        copy = self.swap(sequence.computed, back)
        self._moved += float(alone(copy))
        add(self.work.copied, copy.demand)
