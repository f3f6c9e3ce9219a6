"""The fast pool equals one that goes token by token: every time of every request."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Activity, Resource
from simulator.mapping.form import Scheduler as Settings
from simulator.registry import registered
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.serving.iteration.iterations import Iterations
from simulator.serving.kv.blocks import Blocks
from simulator.serving.kv.copies import Copies
from simulator.serving.kv.prefix import PrefixBlocks
from simulator.serving.kv.reuse import alone, worth
from simulator.serving.kv.tiers import Node
from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Sequence
from simulator.serving.stages import Stages
from simulator.workload.requests.request import Request
from tests.serving.service import stepping
from tests.serving.service.stepping import Stepping, WithPrefixes, WithTiers

MACHINES = (
    ("h100-sxm", "gpu-libraries"), ("a100-sxm-80gb", "vllm"), ("rtx4090-gen4", "ideal"),
    ("h100-sxm", "vllm-v1", "modelled"), ("h100-sxm", "sglang", "modelled", "experts"),
    ("h100-sxm", "gpu-libraries", "roofline", "windows"), ("rtx4090-gen4", "vllm", "roofline", "chunks"),
    ("rtx4090-gen4", "ideal", "roofline", "both"),
)  # fmt: skip
"""An efficiency that bends, a host before the devices, straight lines, and models of kernels, one of routed experts;
keys that are cut."""
EIGHT = "llama-3.1-8b"
MODELS: dict[str, Any] = {
    EIGHT: EIGHT,
    "windows": {"extends": EIGHT, "attention": {"window": 48, "window_pattern": [True, False]}},
    "chunks": {"extends": EIGHT, "attention": {"chunk": 64}},
    "experts": {"extends": "deepseek-v2-lite", "layers": 4},
    "both": {"extends": EIGHT, "layers": 4, "attention": {"window": 30, "top_k": 41, "window_pattern": [True, False]}},
}


@cache
def iterations(machine: str, runtime: str, kernels: str = "roofline", model: str = EIGHT) -> Iterations:
    mapping = {"devices": 1, "runtime": runtime, "kernels": kernels}
    parts = {"hardware": machine, "model": MODELS[model], "mapping": mapping}
    return Iterations(
        Stages(deployment(Scenario.model_validate({**parts, "workload": {"kind": "requests"}}), requests=True))
    )


@st.composite
def traces(draw: st.DrawFn) -> list[Request]:
    number, rate = draw(st.integers(1, 30)), draw(st.sampled_from([1.0, 20.0, 300.0, np.inf]))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    arrivals = np.cumsum(random.exponential(1 / rate, number))
    longest = draw(st.sampled_from([3, 60, 700]))
    return [
        Request(
            str(i), float(at), int(random.integers(1, longest + 1)), int(random.integers(1, 120)), max_tokens=130,
            priority=int(random.integers(0, 3)), slo=float(random.integers(1, 9)),
        )
        for i, at in enumerate(arrivals)
    ]  # fmt: skip


@st.composite
def sessions(draw: st.DrawFn) -> list[Request]:
    """Requests with prefixes of a few lengths, and sessions whose prompts go on with what was said."""
    number, rate = draw(st.integers(1, 30)), draw(st.sampled_from([2.0, 20.0, 200.0, np.inf]))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    longest = draw(st.sampled_from([3, 60, 200]))
    said: dict[str, int] = {}
    requests = []
    for i, at in enumerate(np.cumsum(random.exponential(1 / rate, number))):
        new, output, prefix = int(random.integers(1, longest + 1)), int(random.integers(1, 80)), [0, 7, 37, 90][i % 4]
        common: dict[str, Any] = {"prefix_id": f"p{prefix}", "prefix_tokens": prefix} if prefix else {}
        if random.random() < 0.4:
            session = f"s{random.integers(0, 3)}"
            context = said.get(session, 0) % 250
            said[session] = context + new + output
            common, prefix = {"session_id": session, "context_tokens": context}, context
        requests.append(
            Request(str(i), float(at), prefix + new, output, 130, priority=int(random.integers(0, 3)), **common)
        )
    return requests


def times(served: Any) -> list[float]:
    return [served.scheduled, served.times[0], served.times[-1]]


SCHEDULERS = (
    "vllm-v1", "vllm-v0", "vllm-v0-swapping", "sarathi", "orca", "static", "trt-llm-no-evict",
    "trt-llm-max-utilisation", "sglang",
)  # fmt: skip


def copy_seconds(tokens: int) -> float:
    return 1e-6 * tokens


SWAPPED = Resource("swapped", 1e6, "token")


def swap(tokens: int, back: bool) -> Activity:
    return Activity("swap", {SWAPPED: float(tokens)})


def serve(
    scheduler: str,
    of: Iterations,
    store: Blocks | PrefixBlocks,
    order: str,
    tokens: int,
    most: int,
    requests: list[Request],
    ahead: bool = False,
    copies: Copies | None = None,
) -> tuple[Pool, list[Sequence]]:
    ended: list[Sequence] = []
    how = "swap" if scheduler.endswith("swapping") else None
    settings = Settings(tokens=tokens, max_sequences=most, preempt=how)
    made = registered("scheduler", scheduler.removesuffix("-swapping"))(settings)
    pool = Pool(of, store, made, order, ended.append, swap, ahead=ahead, copies=copies)
    for number, request in enumerate(requests):
        pool.arrive(Sequence(request, number, request.arrival_s, 4096))
    pool.advance()
    return pool, ended


def check_equal(ended: list[Sequence], slow: dict[str, Any]) -> None:
    assert len(ended) == len(slow), "no request is lost or made"
    for each in ended:
        expected = slow[each.request.request_id]
        assert [each.scheduled, each.first, each.last] == pytest.approx(times(expected), rel=1e-9)
        assert each.preemptions == expected.lost


limits = st.tuples(
    st.sampled_from([1, 4, 16]), st.sampled_from([64, 300, 2048]), st.integers(1, 40), st.integers(900, 4000),
    st.sampled_from(["fcfs", "priority", "shortest", "deadline"]),
)  # fmt: skip
machines = st.sampled_from(MACHINES)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@settings(max_examples=8, deadline=None)
@given(traces(), machines, limits, st.booleans())
def test_it_equals_stepping(
    scheduler: str, requests: list[Request], machine: tuple[str, ...], limits: Any, ahead: bool
) -> None:
    size, tokens, most, total, order = limits
    of, policy = iterations(*machine), getattr(stepping, scheduler.replace("-", "_"))
    slow = Stepping(of, size, total // size, policy, order, tokens, most, ahead, copy_seconds=copy_seconds).run(
        requests
    )
    pool, ended = serve(scheduler, of, Blocks(total // size, size), order, tokens, most, requests, ahead)
    check_equal(ended, slow)
    assert pool.store.free == pool.store.total, "all is given back"
    assert pool.count == pool.decoding.cached == 0
    assert pool.answer_tokens == sum(r.output_tokens for r in requests), "no token is lost or made"
    assert pool.gaps.digest.count == pytest.approx(sum(r.output_tokens - 1 for r in requests))


@pytest.mark.parametrize("machine", MACHINES[5:], ids=lambda machine: machine[3])
@settings(max_examples=10, deadline=None)
@given(traces(), limits, st.sampled_from(["vllm-v1", "vllm-v0-swapping"]))
def test_where_keys_are_cut_it_equals_stepping(
    machine: tuple[str, ...], requests: list[Request], limits: Any, scheduler: str
) -> None:
    size, tokens, most, total, order = limits
    of, policy = iterations(*machine), getattr(stepping, scheduler.replace("-", "_"))
    slow = Stepping(of, size, total // size, policy, order, tokens, most, copy_seconds=copy_seconds).run(requests)
    pool, ended = serve(scheduler, of, Blocks(total // size, size), order, tokens, most, requests)
    check_equal(ended, slow)
    assert set(pool.decoding.keys()) == {0.0}, "nobody decodes"


@pytest.mark.parametrize("scheduler", [each for each in SCHEDULERS if each != "vllm-v0-swapping"])
@settings(max_examples=6, deadline=None)
@given(sessions(), machines, limits)
def test_with_prefixes_it_equals_blocks_one_by_one(
    scheduler: str, requests: list[Request], machine: tuple[str, ...], limits: Any
) -> None:
    size, tokens, most, total, order = limits
    total //= 2
    of, policy = iterations(*machine), getattr(stepping, scheduler.replace("-", "_"))
    slow = WithPrefixes(of, size, total // size, policy, order, tokens, most).run(requests)
    pool, ended = serve(scheduler, of, PrefixBlocks(total // size, size), order, tokens, most, requests)
    check_equal(ended, slow)
    assert pool.store.free == pool.store.total, "all is given back"


EVICTED = [
    (0.00871, 65, 62, 2, ""), (0.05296, 21, 1, 0, "s2"), (0.10281, 38, 71, 1, "p37"), (0.10334, 225, 62, 0, "p90"),
    (0.13217, 186, 47, 0, ""), (0.15477, 85, 24, 1, "p7"), (0.19271, 141, 38, 0, "s2 22"), (0.19447, 216, 23, 1, "p90"),
    (0.26769, 366, 49, 1, "s2 179"), (0.281, 67, 18, 2, "p7"), (0.31141, 82, 6, 0, "p37"), (0.34234, 177, 79, 1, "s0"),
    (0.34563, 59, 7, 0, "s1"), (0.39533, 169, 6, 2, "p7"), (0.42229, 212, 72, 2, "p37"),
]  # fmt: skip
"""Arrival, tokens of prompt and answer, priority, and the prefix, or the session with what it had before."""


def test_who_joins_by_what_is_cached_joins_anew_when_some_of_that_goes() -> None:
    requests = []
    for number, (arrival, input, output, priority, of) in enumerate(EVICTED):
        name, _, context = of.partition(" ")
        own: dict[str, Any] = {"session_id": name, "context_tokens": int(context or 0)} if name[:1] == "s" else {}
        own |= {"prefix_id": name, "prefix_tokens": int(name[1:])} if name[:1] == "p" else {}
        requests.append(Request(str(number), arrival, input, output, max_tokens=130, priority=priority, **own))
    times = iterations("h100-sxm", "gpu-libraries")
    slow = WithPrefixes(times, 1, 544, stepping.sglang, "priority", 64, 3).run(requests)
    _, ended = serve("sglang", times, PrefixBlocks(544), "priority", 64, 3, requests)
    assert sum(each.preemptions for each in ended) > 0
    check_equal(ended, slow)


IN, OUT = Resource("in", 1000.0), Resource("out", 700.0)


def copies_between(lower: tuple[int, ...], layers: int | None) -> Copies:
    """Copies of blocks to memory over one resource, from it over another, and between other tiers over none."""
    places = range(len(lower) + 1)
    ends = {(a, b): {IN: 1.0} if not b else {OUT: 1.0} if not a else {} for a in places for b in places if a != b}
    hops = {hop: Activity("copy", demand) for hop, demand in ends.items()}
    return Copies(tuple(map(str, places)), (1, *lower), 1.0, hops, layers)


@pytest.mark.parametrize("scheduler", [each for each in SCHEDULERS if each != "vllm-v0-swapping"])
@settings(max_examples=3, deadline=None)
@given(
    sessions(),
    machines,
    limits,
    st.sampled_from([(40,), (3,), (0, 20), (7, 50), (5, 0, 9)]),
    st.sampled_from([None, 4]),
    st.booleans(),
)
def test_over_tiers_it_equals_blocks_one_by_one(
    scheduler: str, requests: list[Request], machine: tuple[str, str], limits: Any, lower: Any, layers: int | None,
    faster: bool,
) -> None:  # fmt: skip
    size, tokens, most, total, order = limits
    total = max(total // 2, 600 + size)  # all tokens of a request have room
    of, policy = iterations(*machine), getattr(stepping, scheduler.replace("-", "_"))
    reference = WithTiers(
        of, size, total // size, policy, order, tokens, most, lower=lower, block_seconds=(1 / 1000, 1 / 700),
        layers=layers, faster=faster,
    )  # fmt: skip
    slow = reference.run(requests)
    copies = copies_between(lower, layers)
    chunk = np.inf if scheduler in ("vllm-v0", "orca", "static") else tokens
    store = PrefixBlocks(total // size, size, lower, alone(of, copies, chunk) if faster else None)
    pool, ended = serve(scheduler, of, store, order, tokens, most, requests, copies=copies)
    check_equal(ended, slow)
    assert store.free == store.total, "all is given back"
    assert sum(n for (_, to), n in pool.moves.items() if to == 0) == reference.loaded
    lies = [sum(size for what, size in tier.items() if isinstance(what, Node)) for tier in store._tiers._idle]
    assert lies[1:] == [len(tier) for tier, most in zip(reference.tiers, lower, strict=True) if most]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 300), st.integers(1, 40), st.sampled_from([None, 4]), st.sampled_from([1e-5, 1e-3, 1e-1]),
    st.sampled_from([32, 100, 2048]), st.sampled_from(MACHINES[2:5]),
)  # fmt: skip
def test_a_prompt_alone_is_loaded_where_that_is_faster_and_no_later_than_always_or_never(
    tokens: int, answer: int, layers: int | None, seconds: float, chunk: int, machine: tuple[str, ...]
) -> None:
    of, hop = iterations(*machine), Activity("copy", {Resource("in", 1 / seconds, "block"): 1.0})
    copies = Copies(("0", "1"), (1, 99), 1.0, {(1, 0): hop, (0, 1): Activity("copy", {})}, layers)
    requests = [
        Request(str(i), 9.0 * i, tokens, answer, prefix_id=str(i % 3), prefix_tokens=tokens) for i in range(6)
    ]  # fmt: skip
    stores = [
        PrefixBlocks(400 // 16, 16, lower, how)
        for lower, how in (((99,), alone(of, copies, chunk)), ((99,), None), ((), None))
    ]
    faster, always, never = (
        {
            each.request.request_id: each.first - each.arrival
            for each in serve("vllm-v1", of, store, "fcfs", chunk, 1, requests, copies=copies)[1]
        }
        for store in stores
    )
    assert all(faster[name] <= min(always[name], never[name]) * (1 + 1e-9) for name in always)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-7, 1e-2), st.floats(1e-7, 1e-2), st.sampled_from([None, 4]), st.sampled_from([64, 2048]))
def test_a_tier_is_left_out_where_no_prompt_is_sooner_by_a_way_there_and_back(
    out: float, back: float, layers: int | None, chunk: int
) -> None:
    of, size, longest = iterations(*MACHINES[2]), 16, 1000
    there, here = Resource("out", 1 / out, "block"), Resource("in", 1 / back, "block")
    hops = {(0, 1): Activity("copy", {there: 1.0}), (1, 0): Activity("copy", {here: 1.0})}
    copies = Copies(("0", "1"), (9, 99), 1.0, hops, layers)
    prompt = alone(of, copies, chunk)
    kept = worth(copies, prompt, size, longest).blocks
    gains = [prompt((n + 1) * size, 0, {}) - prompt((n + 1) * size, n * size, {}) for n in range(1, longest // size)]
    assert kept[0] == 9 and kept[1] in (0, 99)
    if kept[1] == 0:
        assert max(gain / n for n, gain in enumerate(gains, 1)) <= 2.1 * max(out, back), "of any length, within a power"
    else:
        assert any(max(out, back) * n < gain for n, gain in enumerate(gains, 1))


@settings(max_examples=20, deadline=None)
@given(sessions(), limits, st.integers(0, 60), st.integers(0, 60))
def test_more_room_behind_memory_never_lowers_the_hit_rate(
    requests: list[Request], limits: Any, blocks: int, more: int
) -> None:
    """Of requests one after another, so that all stores see the same: and no room is no tier, to the bit."""
    size, tokens, _, total, order = limits
    of, hits = iterations(*MACHINES[2]), []
    for lower in ((), (0,), (blocks,), (blocks + more,), (blocks, more)):
        store = PrefixBlocks(max(total // 2, 600 + size) // size, size, lower)
        pool, ended = serve("vllm-v1", of, store, order, tokens, 1, requests, copies=copies_between(lower, 4))
        hits.append((pool.hits, [each.last for each in ended]))
    assert hits[0] == hits[1]
    assert hits[1][0] <= hits[2][0] <= hits[3][0] == hits[4][0] or not blocks or not more
    assert hits[2][0] <= min(hits[3][0], hits[4][0])
