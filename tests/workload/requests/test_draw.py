"""Requests that are drawn, and recorded ones at other times."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload.requests.load import load_requests
from simulator.workload.requests.request import Request

BASE = {"arrivals": {"kind": "poisson", "rate": 2}, "lengths": {"kind": "fixed", "input": 100, "output": 20}}
CHAT = {"turns": 4, "think": "2 s"}


def drawn(number: int = 2000, **changes: Any) -> list[Request]:
    return list(load_requests({**BASE, "requests": number, **changes}))


def shape(requests: list[Request]) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.array([[r.input_tokens, r.output_tokens] for r in requests]).T)


LENGTHS = [
    {"kind": "fixed", "input": 100, "output": 20},
    {"kind": "uniform", "input": [50, 150], "output": [1, 39]},
    {"kind": "log_normal", "input": 100, "output": 20},
    {"kind": "spread", "input": 100, "output": 20},
]


@pytest.mark.parametrize("lengths", LENGTHS, ids=[each["kind"] for each in LENGTHS])
def test_lengths_have_the_mean_that_is_stated(lengths: dict[str, Any]) -> None:
    prompts, answers = shape(drawn(20_000, lengths=lengths))
    assert prompts.mean() == pytest.approx(100, rel=0.03)
    assert answers.mean() == pytest.approx(20, rel=0.03)
    assert min(prompts.min(), answers.min()) >= 1


def test_log_normal_lengths_vary_as_stated_and_are_cut() -> None:
    law = {"kind": "log_normal", "input": 1000, "output": 200, "input_variation": 0.5, "output_variation": 0}
    prompts, answers = shape(drawn(20_000, lengths=law))
    assert prompts.std() / prompts.mean() == pytest.approx(0.5, rel=0.03)
    assert (answers == 200).all()
    assert np.log(prompts).std() == pytest.approx(np.log(1.25) ** 0.5, rel=0.03)
    assert shape(drawn(2000, lengths={**law, "longest": 1200}))[0].max() == 1200


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    file = tmp_path / "trace.csv"
    file.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n0,10,1\n1,10,1\n3,20,2\n7,30,3\n")
    return file


def test_empirical_lengths_are_pairs_as_often_as_in_the_trace(trace: Path) -> None:
    prompts, answers = shape(drawn(20_000, lengths={"kind": "empirical", "trace": str(trace)}))
    assert np.array_equal(prompts, answers * 10)
    assert [(answers == each).mean() for each in (1, 2, 3)] == pytest.approx([0.5, 0.25, 0.25], abs=0.02)


@pytest.mark.parametrize("changes", [{}, {"sessions": CHAT}, {"prefixes": {"tokens": 50, "number": 3}}])
def test_equal_seeds_give_equal_requests_and_fewer_are_the_first(changes: dict[str, Any]) -> None:
    changes = {"lengths": {"kind": "log_normal", "input": 100, "output": 20}, **changes}
    once = drawn(3000, **changes)
    assert drawn(3000, **changes) == once
    assert drawn(100, **changes) == once[:100]
    assert len({each.request_id for each in once}) == 3000
    assert shape(drawn(100, seed=1, **changes))[0].tolist() != shape(once[:100])[0].tolist()


def test_arrivals_do_not_disturb_lengths() -> None:
    law = {"kind": "log_normal", "input": 100, "output": 20}
    one, other = drawn(lengths=law), drawn(lengths=law, arrivals={"kind": "even", "rate": 9})
    assert shape(one)[0].tolist() == shape(other)[0].tolist()


def test_a_closed_loop_says_how_many_are_in_flight() -> None:
    stream = load_requests({**BASE, "requests": 3, "arrivals": {"kind": "closed", "in_flight": 2}})
    assert stream.in_flight == 2
    assert [each.arrival_s for each in stream] == [0, 0, 0]
    assert load_requests({**BASE, "requests": 3}).in_flight is None


@given(turns=st.floats(1, 9), prefix=st.integers(0, 300), longest=st.integers(1, 2000), seed=st.integers(0, 99))
def test_a_turn_has_all_that_was_said_and_something_new(turns: float, prefix: int, longest: int, seed: int) -> None:
    lengths = {"kind": "uniform", "input": [1, 200], "output": [1, 99]}
    changes = {"prefixes": {"tokens": prefix}} if prefix else {}
    requests = drawn(60, lengths=lengths, sessions={"turns": turns, "longest": longest}, seed=seed, **changes)
    assert requests[0].context_tokens == 0 and requests[0].think_s is None
    for one, other in pairwise(requests):
        whole = one.input_tokens + one.output_tokens
        if one.session_id == other.session_id:
            assert other.context_tokens == whole < other.input_tokens
            assert other.input_tokens + other.output_tokens <= longest
            assert (other.think_s or 0) >= 0 and other.arrival_s == one.arrival_s
            kept, wanted = one.segments(whole), other.segments(other.input_tokens)
            assert [name for name, _ in kept] == [name for name, _ in wanted]
            assert sum(tokens for _, tokens in kept) == whole
        else:
            assert other.context_tokens == 0 and other.think_s is None and other.arrival_s >= one.arrival_s
            assert other.segments(other.input_tokens)[0] == (
                ("p0", prefix) if prefix else (other.session_id, other.input_tokens)
            )


def test_sessions_arrive_at_the_rate_and_go_on_as_stated() -> None:
    requests = drawn(40_000, sessions={"turns": 5, "think": 3, "longest": 10**6})
    firsts = [each for each in requests if each.think_s is None]
    assert len(requests) / len(firsts) == pytest.approx(5, rel=0.03)
    assert len(firsts) / requests[-1].arrival_s == pytest.approx(2, rel=0.03)
    waits = np.array([each.think_s for each in requests if each.think_s is not None])
    assert [waits.mean(), waits.std()] == pytest.approx([3, 3], rel=0.03)


def test_an_agent_takes_as_many_short_steps_behind_a_long_prompt() -> None:
    steps = {"turns": 3, "turns_law": "fixed", "think": "1 s", "think_variation": 0}
    later = {"kind": "fixed", "input": 7, "output": 3}
    requests = drawn(6, sessions={**steps, "later": later}, prefixes={"tokens": 1000})
    assert [each.input_tokens for each in requests[:3]] == [1100, 1100 + 20 + 7, 1127 + 3 + 7]
    assert [each.think_s for each in requests] == [None, 1, 1] * 2
    assert len({each.session_id for each in requests}) == 2


def test_beginnings_are_as_popular_as_their_rank() -> None:
    requests = drawn(20_000, prefixes={"tokens": 50, "number": 3, "exponent": 1})
    assert {(each.input_tokens, each.prefix_tokens) for each in requests} == {(150, 50)}
    share = [np.mean([each.prefix_id == f"p{rank}" for each in requests]) for rank in range(3)]
    assert share == pytest.approx([6 / 11, 3 / 11, 2 / 11], abs=0.02)


def test_an_answer_ends_at_the_limit_and_so_does_what_follows_from_it() -> None:
    requests = drawn(50, max_tokens=5, sessions=CHAT)
    assert {(each.output_tokens, each.max_tokens) for each in requests} == {(5, 5)}
    assert all(each.context_tokens % 105 == 0 for each in requests)


def test_a_trace_is_replayed_as_it_was_or_faster_or_in_part(trace: Path) -> None:
    assert [each.arrival_s for each in load_requests(trace)] == [0, 1, 3, 7]
    faster = load_requests(trace, ["arrivals={kind: recorded, speed: 2}", "requests=3"])
    assert [(each.arrival_s, each.input_tokens) for each in faster] == [(0, 10), (0.5, 10), (1.5, 20)]
    limited = load_requests(trace, ["max_tokens=2"])
    assert [(each.output_tokens, each.max_tokens) for each in limited] == [(1, 2), (1, 2), (2, 2), (2, 2)]


def test_a_trace_has_the_times_of_a_process(trace: Path) -> None:
    expected = [each.arrival_s for each in drawn(4)]
    requests = list(load_requests(trace, ["arrivals={kind: poisson, rate: 2}"]))
    assert [each.arrival_s for each in requests] == expected
    assert shape(requests)[0].tolist() == [10, 10, 20, 30]
    assert load_requests(trace, ["arrivals={kind: closed, in_flight: 7}"]).in_flight == 7


def test_who_waits_for_an_answer_has_no_time_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    header = "request_id,arrival_s,input_tokens,output_tokens,session_id,think_s\n"
    file.write_text(f"{header}a,5,1,1,s,\nb,5,9,1,s,2\nc,6,1,1,t,\n")
    a, b, c = load_requests(file, ["arrivals={kind: even, rate: 1}"])
    assert [(each.arrival_s, each.think_s) for each in (a, b, c)] == [(1, None), (1, 2), (2, None)]


def test_blocks_end_with_an_answer_that_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    header = "request_id,arrival_s,input_tokens,output_tokens,block_tokens,block_ids\n"
    file.write_text(f"{header}a,5,17,30,16,1 2 3\nb,5,17,30,,\n")
    a, b = load_requests(file, ["max_tokens=4"])
    assert (a.block_ids, b.block_ids) == ([1, 2], None)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["requests=3"], "arrivals: found nothing, expected a value, or a trace"),
        (["requests=3", "arrivals={kind: recorded}", "lengths={kind: fixed, input: 1, output: 1}"], "arrivals.kind"),
        (["requests=3", "arrivals={kind: poison, rate: 2}"], "did you mean 'poisson'"),
        (["requests=3", "arrivals={kind: poisson, rate: 0}"], "arrivals.*rate"),
        (["lengths={kind: uniform, input: [9, 1], output: [1, 2]}"], "lengths.*input: .*9 to 1"),
        (["lengths={kind: empirical, trace: gone.csv}"], "gone.csv"),
        (["sessions={turns: 2.5, turns_law: fixed}"], r"sessions.*turns: .*2\.5, expected a whole number"),
        (["request=3"], "did you mean 'requests'"),
        (["seconds=3 s", "arrivals={kind: closed, in_flight: 7}", "lengths={kind: fixed, input: 1, output: 1}"],
         "seconds: found beside a closed loop"),
    ],
)  # fmt: skip
def test_a_form_that_is_wrong(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_requests({}, overrides)


def test_a_trace_goes_with_no_law(trace: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lengths: found beside a trace"):
        load_requests(trace, ["lengths={kind: fixed, input: 1, output: 1}"])
    untimed = tmp_path / "lengths.csv"
    untimed.write_text("num_prefill_tokens,num_decode_tokens,num_total_tokens\n3,4,7\n")
    with pytest.raises(ConfigError, match=r"arrivals: the trace does not say when requests arrive.*poisson"):
        load_requests(untimed)
    assert [each.arrival_s for each in load_requests(untimed, ["arrivals={kind: even, rate: 2}"])] == [0.5]


def test_a_span_has_the_turns_that_come_in_it_and_no_others() -> None:
    def within(requests: list[Request], seconds: float) -> list[str]:
        kept, at = [], 0.0
        for each in requests:
            at = each.arrival_s if each.think_s is None else at + each.think_s
            kept += [each.request_id] if at <= seconds else []
        return kept

    for sessions in (None, CHAT):
        every = drawn(40_000, sessions=sessions)
        spanned = list(load_requests({**BASE, "seconds": "30 s", "sessions": sessions}))
        assert [each.request_id for each in spanned] == within(every, 30.0)
        assert 0 < len(spanned) < len(every)
    assert len(drawn(5, seconds="30 s")) == 5
