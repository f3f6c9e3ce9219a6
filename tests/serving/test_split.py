"""Prompts and answers on devices of their own: what a request waits for, and that none is lost."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from simulator.hardware import load_system
from simulator.serving.served import Served
from simulator.serving.split import serve_split
from simulator.serving.stages import Stages
from simulator.workload import load_model
from simulator.workload.requests.lengths import Lengths
from simulator.workload.routing.routers import uniform
from tests.deployed import deployment

CLIENTS, NUMBER = 8, 60


@cache
def halves() -> tuple[Stages, Stages]:
    how = {"dispatch": "static_by_layer", "together": True, "split": "greedy", "experts": "tensor"}
    system, model = load_system("duplex-split"), load_model("mixtral-8x7b")
    prompts, answers = (
        Stages(deployment(system, model, (f"{half}.xpu", f"{half}.pim"), **how))  # type: ignore[arg-type]
        for half in ("prompts", "answers")
    )
    return prompts, answers


def seen(lengths: Lengths, seed: int = 0) -> Served:
    return serve_split(*halves(), lengths, CLIENTS, NUMBER, uniform(8, 2), seed)


@pytest.mark.parametrize("lengths", [Lengths(512, 64, 0.4), Lengths(4096, 16), Lengths(64, 2)])
def test_no_request_is_lost_and_no_client_has_two(lengths: Lengths) -> None:
    run = seen(lengths)
    assert len(run.ttft) == len(run.e2e) == len(run.queued)
    assert NUMBER - CLIENTS <= len(run.e2e) <= NUMBER
    assert run.often.max() <= CLIENTS
    assert run.e2e.sum() <= CLIENTS * run.seconds * (1 + 1e-12), "at any time each client has one, at most"


def test_prompts_are_computed_one_at_a_time() -> None:
    run = seen(Lengths(4096, 16))
    tokens = 4096.0
    dense = float(halves()[0].shared(np.array([[[1, tokens, tokens * (tokens + 1) / 2, 0, 0, 0]]]), True)[0])
    assert run.ttft.min() > dense
    assert len(run.ttft) * dense < run.seconds, "one after another"
    assert run.ttft.max() > 2 * run.ttft.min(), "some wait for others"


def test_keys_and_values_are_copied_over_the_link() -> None:
    run, longer = seen(Lengths(512, 64)), seen(Lengths(1024, 64))
    assert (run.queued > 0).all()
    assert longer.queued.mean() > 1.3 * run.queued.mean()
    assert (run.e2e > run.ttft + run.queued).all()


def test_answers_of_one_token_end_with_their_prompt() -> None:
    run = seen(Lengths(512, 1))
    assert run.often.sum() == 0, "nothing is left to decode"
    assert run.tokens == pytest.approx(NUMBER, abs=CLIENTS)
    assert run.e2e == pytest.approx(run.ttft + run.queued)


def test_equal_seeds_give_equal_bits() -> None:
    one, same, other = (seen(Lengths(512, 64, 0.4), seed) for seed in (0, 0, 1))
    assert (one.e2e == same.e2e).all()
    assert one.seconds == same.seconds != other.seconds
