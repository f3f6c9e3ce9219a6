"""Requests over replicas: sessions, closed loops, balances, and prompts computed elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Activity, Resource
from simulator.errors import CapacityError, ConfigError
from simulator.mapping.form import Scheduler as Settings
from simulator.registry import registered
from simulator.serving.kv.blocks import Blocks
from simulator.serving.kv.prefix import PrefixBlocks
from simulator.serving.service.balance import BALANCES
from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Link, Sequence
from simulator.serving.service.service import Service
from simulator.workload.requests.request import Request
from tests.serving.service.stepping import Decoding, Stepping, decode_only, vllm_v1
from tests.serving.service.test_pool import MACHINES, iterations, limits, machines, traces

OF = iterations(*MACHINES[2])


def pool(store: Any = None, tokens: int = 2048, most: int = 64, of: Any = OF, ahead: bool = False) -> Pool:
    made = registered("scheduler", "vllm-v1")(Settings(tokens=tokens, max_sequences=most))
    return Pool(of, store or Blocks(10_000), made, ahead=ahead)


def run(requests: list[Request], pools: list[Pool], in_flight: int | None = None, **how: Any) -> dict[str, Any]:
    ended: dict[str, Any] = {}

    def keep(served: Sequence, replica: int) -> None:
        ended[served.request.request_id] = served, replica

    Service(pools, 4096, ended=keep, **how).run(requests, in_flight)
    return ended


def carry(tokens: int) -> float:
    return 2e-5 * tokens + 1e-4


WAY = Resource("way", 5e4, "token")


def copy(tokens: int) -> Activity:
    return Activity("copy", {WAY: float(tokens)}, 1e-4)


@settings(max_examples=15, deadline=None)
@given(traces(), machines, limits, st.booleans())
def test_prompts_elsewhere_equal_stepping(
    requests: list[Request], machine: tuple[str, ...], limits: Any, ahead: bool
) -> None:
    size, tokens, most, total, _ = limits
    of = iterations(*machine)
    prompts = [Request(r.request_id, r.arrival_s, r.input_tokens, 1) for r in requests]
    first = Stepping(of, size, 10_000, vllm_v1, tokens=tokens, most=64, ahead=ahead).run(prompts)
    expected = Decoding(
        of, size, total // size, decode_only, tokens=tokens, most=most, carry=carry, ahead=ahead
    ).serve(requests, first)  # fmt: skip
    decoding = pool(Blocks(total // size, size), tokens, most, of, ahead)
    ended = run(requests, [decoding], prompts=[(pool(Blocks(10_000, size), tokens, 64, of, ahead), Link(copy))])
    assert len(ended) == len(requests)
    arrivals = {r.request_id: r.arrival_s for r in requests}
    for name, (served, _) in ended.items():
        assert served.came == arrivals[name], "its waits count from when it came to the service"
        last = expected[name].times[-1] if name in expected else first[name].times[0]
        assert [served.first, served.last] == pytest.approx([first[name].times[0], last], rel=1e-9)
    assert decoding.store.free == decoding.store.total


class Recorded(Link):
    """A link that records when transfers begin, and how many tokens go over it."""

    def __init__(self) -> None:
        super().__init__(copy)
        self.begun: list[float] = []
        self.tokens = 0

    def carry(self, now: float, tokens: int) -> float:
        self.begun.append(now)
        self.tokens += tokens
        return super().carry(now, tokens)


@settings(max_examples=15, deadline=None)
@given(traces(), st.integers(2, 3), limits, st.booleans())
def test_transfers_of_a_link_begin_in_the_order_of_time_and_carry_each_prompt_once(
    requests: list[Request], decoding: int, limits: Any, ahead: bool
) -> None:
    size, tokens, most, total, _ = limits
    link = Recorded()
    pools = [pool(Blocks(total // size, size), tokens, most, ahead=ahead) for _ in range(decoding)]
    ended = run(requests, pools, prompts=[(pool(Blocks(10_000, size), tokens, 64, ahead=ahead), link)])
    assert len(ended) == len(requests)
    assert link.begun == sorted(link.begun)
    assert link.tokens == sum(each.input_tokens for each in requests if each.output_tokens > 1)
    assert sum(each.work.copied.get(WAY, 0.0) for each in pools) == link.tokens
    assert all(served.last >= served.first for served, _ in ended.values())


@given(st.integers(1, 6), st.integers(1, 30))
@settings(max_examples=10, deadline=None)
def test_a_closed_loop_has_so_many_in_flight(in_flight: int, number: int) -> None:
    requests = [Request(str(i), 0.0, 20, 5 + i % 7) for i in range(number)]
    ended = run(requests, [pool()], in_flight)
    spans = [(served.arrival, served.last) for served, _ in ended.values()]
    assert len(spans) == number
    for at, _ in spans:
        assert sum(start <= at < end for start, end in spans) <= in_flight
    assert len({at for at, _ in spans}) >= number / in_flight


@given(traces(), st.integers(1, 3), st.integers(2, 3), st.booleans())
@settings(max_examples=10, deadline=None)
def test_no_replica_of_a_closed_loop_is_idle_while_requests_are_left(
    drawn: list[Request], each: int, replicas: int, ahead: bool
) -> None:
    requests = [Request(r.request_id, 0.0, r.input_tokens, r.output_tokens) for r in drawn]
    ended = run(requests, [pool(ahead=ahead) for _ in range(replicas)], each * replicas)
    assert len(ended) == len(requests)
    last = max(served.arrival for served, _ in ended.values())
    for place in range(replicas):
        spans = [(served.arrival, served.last) for served, at in ended.values() if at == place]
        if last > 0:
            assert max(end for _, end in spans) >= last
        assert all(sum(start <= at < end for start, end in spans) <= each for at, _ in spans)


def test_a_turn_waits_for_the_answer_before_it() -> None:
    turns = [
        Request(str(i), 0.0, 50, 20, session_id="s", context_tokens=0, think_s=2.0 if i else None) for i in range(4)
    ]
    ended = run([*turns, Request("other", 1.0, 10, 5)], [pool(), pool()])
    for before, after in zip("012", "123", strict=True):
        assert ended[after][0].arrival == pytest.approx(ended[before][0].last + 2.0)
    assert len({ended[name][1] for name in "0123"}) == 1, "where the session is"


@pytest.mark.parametrize("balance", BALANCES)
def test_every_balance_serves_all(balance: str) -> None:
    requests = [
        Request(str(i), i * 0.01, 40, 10 + 40 * (i % 2), prefix_id=f"p{i % 3}", prefix_tokens=32) for i in range(40)
    ]
    ended = run(requests, [pool(PrefixBlocks(2000, 4)) for _ in range(3)], balance=balance)
    assert len(ended) == 40
    assert len({replica for _, replica in ended.values()}) > 1
    if balance in ("session", "prefix_aware"):
        apart = {served.request.prefix_id: set() for served, _ in ended.values()}
        for served, replica in ended.values():
            apart[served.request.prefix_id].add(replica)
        assert sum(map(len, apart.values())) < 9, "who shares a prefix is mostly together"


@pytest.mark.parametrize("balance", [name for name, each in BALANCES.items() if each.looks])
@pytest.mark.parametrize("in_flight", [None, 9])
def test_who_looks_at_replicas_spreads_those_that_come_at_once(balance: str, in_flight: int | None) -> None:
    requests = [Request(str(i), 0.0, 40, 10) for i in range(9)]
    ended = run(requests, [pool() for _ in range(3)], in_flight, balance=balance)
    assert Counter(replica for _, replica in ended.values()) == {0: 3, 1: 3, 2: 3}


def test_what_never_fits_is_told() -> None:
    with pytest.raises(ConfigError, match="request a: found 4,000 \\+ 200 tokens, expected at most the 4,096"):
        run([Request("a", 0.0, 4000, 200)], [pool()])
    with pytest.raises(CapacityError, match=r"request a, .*: needs 38 blocks, there are 10 blocks"):
        run([Request("a", 0.0, 400, 200)], [pool(Blocks(10, 16))])
    orca = Pool(OF, Blocks(100, 16), registered("scheduler", "orca")(Settings()))
    with pytest.raises(ConfigError, match="request a never joins"):
        run([Request("a", 0.0, 400, 200)], [orca])
