"""Prompts on some devices, answers on others: keys and values go over a link in between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.core import Plan, closed_form
from simulator.errors import ConfigError
from simulator.mapping.transfer import transfer
from simulator.serving.loop import run
from simulator.serving.open_loop import StageTimes, chosen, spread
from simulator.serving.served import Array, Served
from simulator.serving.stages import Stages
from simulator.workload import kv_bytes
from simulator.workload.requests.arrivals import Requests
from simulator.workload.requests.lengths import Ints, Lengths
from simulator.workload.routing.routers import Router


def serve_split(
    prompts: Stages, answers: Stages, lengths: Lengths, clients: int, number: int, router: Router | None, seed: int = 0
) -> Served:
    """A closed loop of `clients` requests over devices for prompts and devices for answers; `number` of them in all.

    Prompts are computed one at a time, first come first served, which gives each its first token. Then its keys and
    values are copied (`mapping/transfer.py`), while the next prompt is computed, and it joins those that decode at the
    next stage. The run begins with all clients somewhere in an answer, and is over when the last request is asked for.

    Raises:
        ConfigError: so few requests that none joins and has all its tokens.
    """
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, clients, number])))
    input, output = lengths.draw(clients + number, random)
    begun = (random.random(clients) * (output[:clients] - 1)).astype(np.int64)
    cached, left = input.copy(), output.copy()
    cached[:clients] += begun
    left[:clients] -= begun
    arrival = np.concatenate([np.zeros(clients), np.full(number, np.inf)])
    drawn = chosen(Requests(arrival, cached, left), router, answers.layers, clients, seed)
    seconds = _prompt_seconds(prompts, input, drawn.prompts)
    copies = _copy_seconds(prompts, answers, input)
    asked, first, ready = arrival.copy(), arrival.copy(), arrival.copy()
    place, free = clients, 0.0

    def next_arrival(_: int, now: float) -> float:
        nonlocal place, free
        if place < len(arrival):
            asked[place], free = now, max(now, free) + seconds[place]
            first[place], ready[place] = free, free + copies[place]
            place += 1
            return float(ready[place - 1])
        return now

    times = StageTimes(answers, drawn)
    found = run(Requests(arrival, cached, left), clients, times.decoding, None, next_arrival)
    done = found.done - asked
    whole = np.flatnonzero(np.isfinite(done) & (np.arange(len(done)) >= clients))
    if not len(whole):
        expected = f"so many that more requests than the {clients} in flight at first have all their tokens"
        raise ConfigError(path="rounds", found=f"{number} requests", expected=expected)
    return replace(
        found,
        queued=(ready - first)[whole],
        ttft=(first - asked)[whole],
        e2e=done[whole],
        tokens=float(found.often.sum() + np.sum(first[clients:] <= found.seconds)),
    )


def _prompt_seconds(prompts: Stages, input: Ints, experts: object) -> Array:
    """Of each prompt, alone on its devices."""
    tokens = input.astype(np.float64)
    one = np.concatenate([spread(1, 1, t, t * (t + 1) / 2, 0, 0.0) for t in tokens])
    seconds = prompts.shared(one, True)
    if experts is not None:
        seconds = seconds + prompts.experts(np.asarray(experts), True)
    return prompts.driven(seconds, one, True)


def _copy_seconds(prompts: Stages, answers: Stages, input: Ints) -> Array:
    """Of keys and values of each prompt, to the devices that decode."""
    source, target = prompts.deployment.low, answers.deployment.low
    size = np.asarray(kv_bytes(prompts.model, input.astype(np.float64)))
    plan = Plan("keys and values")
    plan.add(transfer(source.system, size, source.tier, target.tier))
    return np.broadcast_to(np.asarray(closed_form(plan).time), size.shape)
