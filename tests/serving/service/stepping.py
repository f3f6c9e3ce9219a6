"""A service, simulated token by token: what the fast one must equal. They share the time of an iteration and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from simulator.serving.service.iteration import Iterations
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

    @property
    def rest(self) -> int:
        return self.known - self.kv


@dataclass(eq=False)
class Stepping:
    """Time goes on by one iteration at a time, and each sequence by its tokens."""

    iterations: Iterations
    size: int
    total: int
    policy: Callable[[Stepping], list[tuple[Served, int]]]
    order: str = "fcfs"
    tokens: int = 2048
    most: int = 256
    now: float = 0.0
    waiting: list[Served] = field(default_factory=list)
    running: list[Served] = field(default_factory=list)
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
            "fcfs": served.number,
            "shortest": (r.input_tokens + (r.max_tokens or 0), served.number),
            "priority": (-(r.priority or 0), served.number),
            "deadline": (r.arrival_s + (float("inf") if r.slo is None else r.slo), served.number),
        }[self.order]

    def lose(self, served: Served) -> None:
        self.running.remove(served)
        served.kv, served.room, served.decoding = 0, 0, False
        served.lost += 1
        self.waiting.append(served)

    def grow(self, served: Served, new: int) -> bool:
        """Room for so many tokens more, if there is."""
        before = self.blocks(max(served.kv, served.room)) if served in self.running else 0
        if self.blocks(max(served.kv + new, served.room)) - before > self.free:
            return False
        served.room = max(served.room, served.kv + new)
        return True

    def run(self, requests: list[Request]) -> dict[str, Served]:
        pending = [Served(r, i, r.input_tokens) for i, r in enumerate(requests)]
        while pending or self.waiting or self.running:
            while pending and pending[0].request.arrival_s <= self.now:
                self.waiting.append(pending.pop(0))
            if not self.waiting and not self.running:
                self.now = pending[0].request.arrival_s
                continue
            self.waiting.sort(key=self.rank)
            self.iterate(self.policy(self))
        return self.log

    def iterate(self, chosen: list[tuple[Served, int]]) -> None:
        assert chosen, "work is there, and nothing is done"
        self.most_blocks = max(self.most_blocks, self.total - self.free)
        prompts = [(s, n) for s, n in chosen if not s.decoding]
        decoding = [s for s, n in chosen if s.decoding]
        assert all(n == 1 for s, n in chosen if s.decoding)
        if prompts:
            pairs = sum(n * s.kv + n * (n + 1) / 2 for s, n in prompts)
            seconds = self.iterations.mixed(
                len(prompts), sum(n for _, n in prompts), pairs, sum(s.kv for s, _ in prompts),
                len(decoding), sum(s.kv for s in decoding),
            )  # fmt: skip
        else:
            seconds = self.iterations.decoding(len(decoding), sum(s.kv for s in decoding))
        started = self.now
        self.now += seconds
        for served, new in chosen:
            if served.scheduled is None:
                served.scheduled = started
            served.kv += new
            if served.kv < served.known:
                continue
            served.known += 1
            served.made += 1
            served.decoding = True
            served.times.append(self.now)
            if served.made == served.request.output_tokens:
                self.running.remove(served)
                self.log[served.request.request_id] = served


def vllm_v1(state: Stepping) -> list[tuple[Served, int]]:
    chosen: dict[Served, int] = {}
    budget, lost = state.tokens, False
    for served in list(state.running):
        if served not in state.running:
            continue
        new = min(served.rest, budget)
        while not state.grow(served, new):
            victim = max(state.running, key=state.rank)
            budget += chosen.pop(victim, 0)
            state.lose(victim)
            lost = True
            if victim is served:
                break
        else:
            chosen[served] = new
            budget -= new
    if not lost:
        while state.waiting and budget and len(state.running) < state.most:
            served = state.waiting[0]
            if state.blocks(served.known) > state.free:
                break
            new = min(served.rest, budget)
            state.waiting.remove(served)
            state.running.append(served)
            served.room = new
            chosen[served] = new
            budget -= new
    return [(served, new) for served, new in chosen.items() if new]
