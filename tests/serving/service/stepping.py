"""A service, simulated token by token: what the fast one must equal. They share the time of an iteration alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from simulator.serving.iteration.iterations import Iterations
from simulator.workload.requests.request import Request


@dataclass(eq=False)
class Served:
    """A request: tokens known of it, tokens of them in the cache, and whether its next token follows on these."""

    request: Request
    number: int
    known: int
    kv: int = 0
    made: int = 0
    decoding: bool = False
    room: int = 0
    scheduled: float | None = None
    times: list[float] = field(default_factory=list)
    lost: int = 0
    coming: bool = False

    @property
    def rest(self) -> int:
        return self.known - self.kv


@dataclass(eq=False)
class Stepping:
    """Time goes on by one iteration at a time, and each sequence by its tokens."""

    iterations: Iterations
    size: int
    total: int
    policy: Callable[[Stepping], dict[Served, int]]
    order: str = "fcfs"
    tokens: int = 2048
    most: int = 256
    ahead: bool = False
    before: float = 0.0
    chosen: float = 0.0
    now: float = 0.0
    waiting: list[Served] = field(default_factory=list)
    running: list[Served] = field(default_factory=list)
    swapped: list[Served] = field(default_factory=list)
    moved: int = 0
    copy_seconds: Callable[[int], float] = lambda tokens: 0.0
    log: dict[str, Served] = field(default_factory=dict)
    most_blocks: int = 0

    def blocks(self, tokens: int) -> int:
        return ceil(tokens / self.size)

    @property
    def free(self) -> int:
        return self.total - sum(self.blocks(max(s.kv, s.room)) for s in self.running)

    def rank(self, served: Served) -> Any:
        r = served.request
        return {
            "fcfs": (r.arrival_s, served.number),
            "shortest": (r.input_tokens + (r.max_tokens or 0), served.number),
            "priority": (-(r.priority or 0), r.arrival_s, served.number),
            "deadline": (r.arrival_s + (float("inf") if r.slo is None else r.slo), served.number),
        }[self.order]

    def join(self, served: Served, room: int) -> None:
        self.running.append(served)
        served.room = room

    def lose(self, served: Served, swap: bool = False) -> None:
        self.running.remove(served)
        served.lost += 1
        served.room, served.coming = 0, False
        if swap and served.decoding:
            self.swapped.append(served)
            self.moved += served.kv
        else:
            served.kv, served.decoding = 0, False
            self.waiting.append(served)

    def hits(self, served: Served) -> int:
        """Tokens of one that joins that are cached."""
        return 0

    def needs(self, served: Served, tokens: int) -> int:
        """Blocks that one that joins takes of those that are free, where it has room for so many tokens."""
        return self.blocks(tokens)

    def beside(self, seconds: float) -> float:
        """Seconds of an iteration with all that it waits for."""
        return seconds

    def settle(self) -> None:
        """Room is taken for all that was decided."""

    def kept(self, served: Served) -> None:
        """A chunk is computed."""

    def gone(self, served: Served) -> None:
        """It has all its tokens."""
        self.running.remove(served)

    def grow(self, served: Served, new: int) -> bool:
        """Room for so many tokens more, if there is."""
        before = self.blocks(max(served.kv, served.room)) if served in self.running else 0
        if self.blocks(max(served.kv + new, served.room)) - before > self.free:
            return False
        served.room = max(served.room, served.kv + new)
        return True

    def run(self, requests: list[Request]) -> dict[str, Served]:
        pending = [Served(r, i, r.input_tokens) for i, r in enumerate(requests)]
        while pending or self.waiting or self.running or self.swapped:
            self.chosen = self.before if self.ahead and self.running else self.now
            while pending and pending[0].request.arrival_s <= self.chosen:
                self.waiting.append(pending.pop(0))
            if not self.waiting and not self.running and not self.swapped:
                self.now = pending[0].request.arrival_s
                continue
            self.waiting.sort(key=self.rank)
            self.iterate([(served, new) for served, new in self.policy(self).items() if new])
        return self.log

    def iterate(self, chosen: list[tuple[Served, int]]) -> None:
        assert chosen, "work is there, and nothing is done"
        self.settle()
        self.most_blocks = max(self.most_blocks, self.total - self.free)
        self.commit(chosen, self.beside(self.timed(chosen)) + self.copy_seconds(self.moved))

    def timed(self, chosen: list[tuple[Served, int]]) -> Any:
        """What the iterations say of one."""
        prompts = [(s, n) for s, n in chosen if not s.decoding]
        decoding = [s for s, n in chosen if s.decoding]
        assert all(n == 1 for s, n in chosen if s.decoding)
        if prompts:
            pairs = sum(n * s.kv + n * (n + 1) / 2 for s, n in prompts)
            return self.iterations.mixed(
                len(prompts), sum(n for _, n in prompts), pairs, sum(s.kv for s, _ in prompts),
                len(decoding), sum(s.kv for s in decoding), seen=seen(self.iterations, prompts, decoding),
            )  # fmt: skip
        keys = seen(self.iterations, [], decoding)[2::3]
        return self.iterations.decoding(len(decoding), sum(s.kv for s in decoding), seen=keys)

    def commit(self, chosen: list[tuple[Served, int]], seconds: float) -> None:
        """An iteration has ended, after so many seconds."""
        self.before = self.now
        self.now += seconds
        self.moved = 0
        for served, new in chosen:
            if served.scheduled is None:
                served.scheduled = self.chosen
            served.kv += new
            self.kept(served)
        for served in sorted((s for s, _ in chosen if s.kv == s.known), key=lambda s: s.number):
            served.known += 1
            served.made += 1
            served.decoding = True
            served.times.append(self.now)
            if served.made == served.request.output_tokens:
                self.gone(served)
                self.log[served.request.request_id] = served


def seen(of: Iterations, prompts: list[tuple[Served, int]], decoding: list[Served]) -> tuple[float, ...]:
    """Of each cut of a model, token by token: pairs and keys of chunks of prompts, and keys of those that decode."""
    features: list[float] = []
    for kind, size in of.cuts:
        masks = [
            [range(0 if kind == "window" and i < size else i - (size - 1 if kind == "window" else i % size), i + 1)
             for i in range(served.kv, served.kv + new)]
            for served, new in prompts
        ]  # fmt: skip
        features.append(sum(len(keys) for mask in masks for keys in mask))
        features.append(sum(max(keys.stop for keys in mask) - min(keys.start for keys in mask) for mask in masks))
        features.append(sum(min(s.kv + 1, size if kind == "window" else (size + 1) / 2) for s in decoding))
    return tuple(features)


@dataclass(eq=False)
class Block:
    """A block by itself: what its tokens and all before them are, where it can be found again."""

    content: Any = None
    holders: int = 0


@dataclass(eq=False)
class WithPrefixes(Stepping):
    """Blocks one by one, in a list of those that nobody holds, the longest unused first."""

    idle: list[Block] = field(default_factory=list)
    cached: dict[Any, Block] = field(default_factory=dict)
    has: dict[Served, list[Block]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.idle = [Block() for _ in range(self.total)]

    def content(self, served: Served, block: int, own: bool) -> Any:
        """All tokens up to the end of a block; None where one is of this request alone, and not looked for."""
        end = (block + 1) * self.size
        named = [(name, i) for name, length in served.request.segments(end) for i in range(length)]
        if len(named) < end and not own:
            return None
        return tuple(named + [("own", served.number, i) for i in range(len(named), end)])

    def found(self, served: Served) -> list[Block]:
        found = []
        for at in range((served.known - 1) // self.size):
            block = self.cached.get(self.content(served, at, True))
            if block is None:
                break
            found.append(block)
        return found

    @property
    def free(self) -> int:
        """Those that nobody holds, less those for which room was promised."""
        return len(self.idle) - sum(max(self.blocks(max(s.kv, s.room)) - len(self.has[s]), 0) for s in self.running)

    def hits(self, served: Served) -> int:
        return len(self.found(served)) * self.size

    def needs(self, served: Served, tokens: int) -> int:
        return self.blocks(tokens) - sum(block.holders > 0 for block in self.found(served))

    def join(self, served: Served, room: int) -> None:
        super().join(served, room)
        self.has[served] = self.found(served)
        for block in self.has[served]:
            if not block.holders:
                self.idle.remove(block)
            block.holders += 1
        served.kv = len(self.has[served]) * self.size

    def settle(self) -> None:
        for served in self.running:
            while len(self.has[served]) < self.blocks(max(served.kv, served.room)):
                block = self.idle.pop(0)
                if block.content is not None:
                    del self.cached[block.content]
                self.has[served].append(Block(holders=1))

    def kept(self, served: Served) -> None:
        if not served.decoding:
            self.keep(served, False)

    def keep(self, served: Served, own: bool) -> None:
        """Full blocks can be found, up to the first of which another has the tokens."""
        for at in range(served.kv // self.size):
            content, block = self.content(served, at, own or served.lost > 0), self.has[served][at]
            if content is None or self.cached.setdefault(content, block) is not block:
                return
            block.content = content

    def release(self, served: Served) -> None:
        for block in reversed(self.has.pop(served)):
            block.holders -= 1
            if not block.holders:
                self.idle.append(block)

    def gone(self, served: Served) -> None:
        self.keep(served, False)
        self.release(served)
        super().gone(served)

    def lose(self, served: Served, swap: bool = False) -> None:
        served.lost += 1
        self.keep(served, True)
        served.lost -= 1
        self.release(served)
        super().lose(served, swap)


@dataclass(eq=False)
class WithTiers(WithPrefixes):
    """Blocks one by one in further tiers too, which pass each one they have no room for to the next."""

    lower: tuple[int, ...] = ()
    block_seconds: tuple[float, float] = (0.0, 0.0)
    layers: int | None = None
    faster: bool = False
    tiers: list[list[Any]] = field(default_factory=list)
    due: int = 0
    in_and_out: list[int] = field(default_factory=lambda: [0, 0])
    loaded: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tiers = [[] for _ in self.lower]

    def found(self, served: Served) -> list[Block]:
        found = []
        for at in range((served.known - 1) // self.size):
            content = self.content(served, at, True)
            if content not in self.cached and not any(content in tier for tier in self.tiers):
                break
            found.append(self.cached.get(content, Block(content)))
        return self.fastest(served, found) if self.faster else found

    def fastest(self, served: Served, found: list[Block]) -> list[Block]:
        """All that lies in memory, and of the tiers behind it as many as make the prompt alone the fastest."""
        lies = [0 if b.content in self.cached else 1 + self.holds(b.content) for b in found]
        assert lies == sorted(lies)
        ends = [sum(tier <= last for tier in lies) for last in range(len(self.tiers) + 1)]
        return found[: min(ends, key=lambda end: (self.alone(served.known, end, end - ends[0]), -end))]

    def holds(self, content: Any) -> int:
        return next(place for place, tier in enumerate(self.tiers) if content in tier)

    def alone(self, tokens: int, blocks: int, loaded: int) -> float:
        prompt = Served(Request("alone", 0.0, tokens, 1), -1, tokens, kv=blocks * self.size)
        whole = self.policy in (vllm_v0, orca, static)
        copies, total = loaded * self.block_seconds[0], 0.0
        while prompt.rest:
            new = prompt.rest if whole else min(prompt.rest, self.tokens)
            pairs = sum(prompt.kv + each + 1 for each in range(new))
            keys = seen(self.iterations, [(prompt, new)], [])
            total += self.together(copies, self.iterations.mixed(1, new, pairs, prompt.kv, 0, 0, seen=keys))
            prompt.kv, copies = prompt.kv + new, 0.0
        return total

    @property
    def free(self) -> int:
        return super().free - self.due

    def join(self, served: Served, room: int) -> None:
        self.running.append(served)
        served.room = room
        self.has[served] = self.found(served)
        for block in self.has[served]:
            if block.content not in self.cached:
                self.forget(block.content)
                self.cached[block.content] = block
                self.due += 1
                self.in_and_out[0] += 1
                self.loaded += 1
            elif not block.holders:
                self.idle.remove(block)
            block.holders += 1
        served.kv = len(self.has[served]) * self.size

    def forget(self, content: Any) -> None:
        for tier in self.tiers:
            if content in tier:
                tier.remove(content)

    def pass_on(self, content: Any, place: int) -> None:
        while place < len(self.tiers) and not self.lower[place]:
            place += 1
        if place < len(self.tiers):
            tier = self.tiers[place]
            if len(tier) == self.lower[place]:
                self.pass_on(tier.pop(0), place + 1)
            tier.append(content)

    def settle(self) -> None:
        missing = sum(max(self.blocks(max(s.kv, s.room)) - len(self.has[s]), 0) for s in self.running)
        for _ in range(self.due + missing):
            content = self.idle.pop(0).content
            if content is not None:
                del self.cached[content]
                self.in_and_out[1] += any(self.lower)
                self.pass_on(content, 0)
        for served in self.running:
            while len(self.has[served]) < self.blocks(max(served.kv, served.room)):
                self.has[served].append(Block(holders=1))
        self.due = 0
        everything = [*self.cached, *(each for tier in self.tiers for each in tier)]
        assert len(everything) == len(set(everything)), "a block is in one tier"
        assert all(len(tier) <= most for tier, most in zip(self.tiers, self.lower, strict=True))

    def keep(self, served: Served, own: bool) -> None:
        super().keep(served, own)
        self.tiers = [[each for each in tier if each not in self.cached] for tier in self.tiers]

    def beside(self, seconds: float) -> float:
        """Copies in and out go on at once, and each layer begins when its copies and the layer before are done."""
        copies = max(each * n for each, n in zip(self.block_seconds, self.in_and_out, strict=True))
        self.in_and_out = [0, 0]
        return self.together(copies, seconds)

    def together(self, copies: float, seconds: float) -> float:
        if self.layers is None:
            return copies + seconds
        done = copied = 0.0
        for _ in range(self.layers):
            copied += copies / self.layers
            done = max(done, copied) + seconds / self.layers
        return done


Chosen = dict[Served, int]


def kept(state: Stepping, budget: float, swap: bool = False) -> tuple[Chosen, float, bool]:
    """Those that run go on, each in turn; where there is no block, the last of the order goes: and what is left."""
    chosen: Chosen = {}
    lost = False
    for served in list(state.running):
        if served not in state.running or served.coming:
            continue
        others = sum(s.decoding for s in state.running if s not in chosen)
        new = 1 if served.decoding else int(min(served.rest, budget - others))
        while not state.grow(served, new):
            victim = max(state.running, key=state.rank)
            budget += chosen.pop(victim, 0)
            state.lose(victim, swap)
            lost = True
            if victim is served:
                break
        else:
            chosen[served] = new
            budget -= new
    return chosen, budget, lost


def joined(
    state: Stepping,
    chosen: Chosen,
    budget: float,
    room: str = "chunk",
    whole: bool = False,
    fits: bool = True,
    spare: int = 0,
) -> None:
    """Those that wait join, in their order."""
    first = True
    while state.waiting and budget > 0 and len(state.running) + len(state.swapped) < state.most:
        served = state.waiting[0]
        found = state.hits(served)
        left = served.known - found
        if whole and left > budget and not first:
            break
        new, first = left if whole else int(min(left, budget)), False
        wanted = {
            "chunk": found + new,
            "prompt": served.known,
            "all": served.request.input_tokens + (served.request.max_tokens or 0),
        }[room]
        if state.needs(served, max(wanted, served.known if fits else 0)) > state.free - spare:
            break
        state.waiting.remove(served)
        state.join(served, wanted)
        chosen[served] = new
        budget -= new


def vllm_v1(state: Stepping) -> Chosen:
    chosen, budget, lost = kept(state, state.tokens)
    if not lost:
        joined(state, chosen, budget)
    return chosen


def trt_llm_max_utilisation(state: Stepping) -> Chosen:
    chosen, budget, lost = kept(state, state.tokens)
    if not lost:
        joined(state, chosen, budget, fits=False)
    return chosen


def trt_llm_no_evict(state: Stepping) -> Chosen:
    chosen, budget, lost = kept(state, state.tokens)
    assert not lost
    joined(state, chosen, budget, "all")
    return chosen


def sarathi(state: Stepping) -> Chosen:
    chosen, budget, lost = kept(state, state.tokens)
    if not lost:
        joined(state, chosen, budget, "prompt", spare=int(0.01 * state.total))
    return chosen


def orca(state: Stepping) -> Chosen:
    chosen, _, lost = kept(state, float("inf"))
    assert not lost
    joined(state, chosen, state.tokens, "all", whole=True)
    return chosen


def static(state: Stepping) -> Chosen:
    if state.running:
        return {served: 1 for served in state.running}
    chosen: Chosen = {}
    joined(state, chosen, state.tokens, "all", whole=True)
    return chosen


def vllm_v0(state: Stepping, swap: bool = False) -> Chosen:
    chosen: Chosen = {}
    spare = int(0.01 * state.total)
    if not state.swapped:
        joined(state, chosen, state.tokens, "prompt", whole=True, spare=spare)
    if chosen:
        return chosen
    chosen, _, lost = kept(state, float("inf"), swap)
    if not lost:
        while state.swapped:
            served = state.swapped[0]
            if state.blocks(served.kv + 1) > state.free - spare and state.running:
                break
            state.swapped.remove(served)
            state.running.append(served)
            served.room = served.kv + 1
            state.moved += served.kv
            chosen[served] = 1
    return chosen


def vllm_v0_swapping(state: Stepping) -> Chosen:
    return vllm_v0(state, swap=True)


def sglang(state: Stepping) -> Chosen:
    state.waiting.sort(key=lambda served: -state.hits(served))
    chosen: Chosen = {}
    budget = float(state.tokens)
    growth = sum(state.blocks(s.kv + 1) - state.blocks(max(s.kv, s.room)) for s in state.running if s.decoding)
    for served in state.running:
        if not served.decoding:
            chosen[served] = int(min(served.rest, budget))
            budget -= chosen[served]
    joined(state, chosen, budget, "prompt", spare=growth)
    return chosen or kept(state, float("inf"))[0]


@dataclass(eq=False)
class Decoding(Stepping):
    """Where requests decode whose prompts were computed elsewhere: keys and values come over one link, in turn."""

    carry: Callable[[int], float] = lambda tokens: 0.0
    link: float = 0.0
    coming: list[tuple[float, Served]] = field(default_factory=list)
    arrivals: dict[str, float] = field(default_factory=dict)

    def serve(self, requests: list[Request], first: dict[str, Served]) -> dict[str, Served]:
        several = [(first[r.request_id].times[0], i, r) for i, r in enumerate(requests) if r.output_tokens > 1]
        pending = sorted(several, key=lambda each: each[:2])
        handed = {r.request_id: Served(r, i, r.input_tokens + 1, made=1, times=[at]) for at, i, r in pending}
        self.arrivals = {r.request_id: at for at, _, r in pending}
        while pending or self.waiting or self.running:
            self.chosen = self.before if self.ahead and self.running else self.now
            while pending and pending[0][0] <= self.chosen:
                self.waiting.append(handed[pending.pop(0)[2].request_id])
            for at, served in list(self.coming):
                if at <= self.now:
                    self.coming.remove((at, served))
                    served.decoding, served.coming = served.coming, False
            self.waiting.sort(key=self.rank)
            chosen = [(served, new) for served, new in self.policy(self).items() if new]
            if chosen:
                self.iterate(chosen)
                continue
            self.now = max(self.now, min([at for at, _ in self.coming] + [at for at, _, _ in pending[:1]]))
            self.before = self.now
        return self.log

    def rank(self, served: Served) -> Any:
        return (self.arrivals[served.request.request_id], served.number)


def decode_only(state: Decoding) -> Chosen:
    """As vLLM does; who comes from elsewhere gets room, and then what was computed."""
    chosen, budget, lost = kept(state, state.tokens)
    while not lost and state.waiting and budget > 0 and len(state.running) < state.most:
        served = state.waiting[0]
        room = served.known if served.lost else served.request.input_tokens
        if state.blocks(room) > state.free:
            break
        state.waiting.remove(served)
        if served.lost:
            new = int(min(served.rest, budget))
            state.join(served, new)
            chosen[served] = new
            budget -= new
            continue
        state.join(served, room)
        served.kv, served.coming = room, True
        state.link = max(state.link, state.now) + state.carry(room)
        state.coming.append((state.link, served))
    return chosen


@dataclass(eq=False)
class Pass:
    """Stages in a row, for one of the engines that share them: when each of them is free is known to all."""

    stages: list[Iterations]
    free: list[float]
    clock: Callable[[], float]
    cuts: tuple[Any, ...] = ()
    number: int = 0

    def mixed(self, *figures: Any, **more: Any) -> float:
        return self.through([each.mixed(*figures, number=self.number, **more) for each in self.stages])

    def decoding(self, *figures: Any, **more: Any) -> float:
        return self.through([each.decoding(*figures, number=self.number, **more) for each in self.stages])

    def through(self, seconds: list[float]) -> float:
        self.number += 1
        start = left = self.clock()
        for stage, takes in enumerate(seconds):
            enters = left if left >= self.free[stage] else self.free[stage]
            left = self.free[stage] = enters + takes
        return left - start


@dataclass(eq=False)
class Staged:
    """As many engines as stages: whose iteration has ended chooses the next, and all pass through the same stages."""

    engines: list[Stepping]
    has: list[list[Served]] = field(default_factory=list)

    def run(self, requests: list[Request]) -> dict[str, Served]:
        pending = sorted(
            (Served(r, i, r.input_tokens) for i, r in enumerate(requests)),
            key=lambda s: (s.request.arrival_s, s.number),
        )
        self.has = [[] for _ in self.engines]
        coming: list[list[Served]] = [[] for _ in self.engines]
        while True:
            begins = [self.begins(engine, coming[i]) for i, engine in enumerate(self.engines)]
            first = min(begins)
            if pending and pending[0].request.arrival_s <= first:
                served = pending.pop(0)
                unfinished = [self.unfinished(each, served.request.arrival_s) for each in self.has]
                which = unfinished.index(min(unfinished))
                self.has[which].append(served)
                coming[which].append(served)
            elif first < float("inf"):
                self.go(begins.index(first), coming, first)
            else:
                return {name: served for engine in self.engines for name, served in engine.log.items()}

    def go(self, which: int, coming: list[list[Served]], now: float) -> None:
        engine = self.engines[which]
        engine.iterate(self.choose(engine, coming[which], now))

    @staticmethod
    def begins(engine: Stepping, coming: list[Served]) -> float:
        if engine.waiting or engine.running:
            return engine.now
        return max(engine.now, coming[0].request.arrival_s) if coming else float("inf")

    @staticmethod
    def unfinished(has: list[Served], now: float) -> int:
        return sum(s.made < s.request.output_tokens or s.times[-1] > now for s in has)

    @staticmethod
    def choose(engine: Stepping, coming: list[Served], now: float) -> list[tuple[Served, int]]:
        engine.now = now
        engine.chosen = engine.before if engine.ahead and engine.running else now
        while coming and coming[0].request.arrival_s <= engine.chosen:
            engine.waiting.append(coming.pop(0))
        engine.waiting.sort(key=engine.rank)
        return [(served, new) for served, new in engine.policy(engine).items() if new]


@dataclass
class Load:
    """In place of the time of an iteration, what it hangs on."""

    cuts: tuple[Any, ...] = ()

    def mixed(self, *figures: Any, seen: tuple[float, ...]) -> Any:
        return figures, seen

    def decoding(self, sequences: int, context: int, seen: tuple[float, ...]) -> Any:
        return (0, 0, 0.0, 0, sequences, context), seen


@dataclass(eq=False)
class InLockstep(Staged):
    """Engines that all choose at one time, and end at one time: what they compute together takes so many seconds."""

    together: Callable[[list[Any]], float] = lambda loads: 0.0

    def go(self, which: int, coming: list[list[Served]], now: float) -> None:
        assert all(engine.now <= now for engine in self.engines), "none begins before all have ended"
        chosen = [self.choose(engine, each, now) for engine, each in zip(self.engines, coming, strict=True)]
        for engine in self.engines:
            engine.settle()
        seconds = self.together([e.timed(some) for e, some in zip(self.engines, chosen, strict=True) if some])
        for engine, some in zip(self.engines, chosen, strict=True):
            engine.commit(some, seconds)
