"""The service of a scenario: its replicas with their scheduler and store, and a run of its requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from simulator.config.choose import check_name
from simulator.errors import ConfigError
from simulator.mapping.deployment import Deployment
from simulator.mapping.footprint.held import held
from simulator.mapping.footprint.room import most_blocks
from simulator.mapping.form import Scheduler
from simulator.mapping.parallel.serving_stages import stages_of
from simulator.mapping.transfer import transfer
from simulator.registry import registered
from simulator.scenario.reads import is_set
from simulator.serving.iteration.flow_shop import FlowShop
from simulator.serving.iteration.iterations import Iterations
from simulator.serving.kv.copies import copies_of
from simulator.serving.kv.reuse import alone, chunk_of, worth
from simulator.serving.kv.sequences import handed_over, no_swap, swap_of
from simulator.serving.record.digest import Digest, Percentiles
from simulator.serving.record.rows import Figures, Rows
from simulator.serving.record.series import Series
from simulator.serving.record.timeline import Timeline
from simulator.serving.service.engines import Replica, pools_of
from simulator.serving.service.pipeline import Pipeline
from simulator.serving.service.pool import Pool
from simulator.serving.service.ranks import Ranks
from simulator.serving.service.sequence import Link, Sequence
from simulator.serving.service.service import Service
from simulator.serving.service.turns import Home, Turns
from simulator.serving.stages import Stages
from simulator.workload.requests.request import Request

PERCENTS = (50, 90, 99)
TOKENS = 8192
"""Tokens of an iteration for which activations have room, where the scheduler has no limit."""
SEQUENCES = 256
"""Sequences for which an engine that runs layers as a whole is compiled, where the mapping does not say how many."""


@dataclass(frozen=True, eq=False)
class Run:
    """A service and what its requests saw; `partial`: it was broken off; `closed`: a fixed number was in flight."""

    service: Service
    figures: Figures
    partial: bool = False
    closed: bool = False

    @property
    def pools(self) -> list[Pool]:
        """All replicas, those that compute prompts alone too."""
        return self.service.replicas

    def metrics(self) -> dict[str, Any]:
        """Metrics of the requests that ended."""
        figures, first, pools = self.figures, pools_of(self.service.first), self.pools
        gaps = Digest()
        for pool in pools:
            gaps.merge(pool.gaps.digest)
        waits: dict[str, Percentiles | Digest] = {
            "ttft": figures.ttft, "e2e": figures.e2e, "queue": figures.queue, "tpot": figures.tpot,
            "service": figures.service, "normalised": figures.normalised, "tbt": gaps,
        }  # fmt: skip
        seconds, busy = figures.seconds, sum(pool.busy for pool in pools)
        hits, computed = sum(pool.hits for pool in first), sum(pool.prompt_tokens for pool in first)
        keeps_up, undecided = (True, "") if self.closed else figures.keeps_up
        return {
            "keeps_up": nan if keeps_up is None else float(keeps_up),
            "undecided": undecided,
            **{f"{name}_p{p}_s": each.percentile(p) for name, each in waits.items() for p in PERCENTS},
            "tokens_per_s": figures.output / seconds if seconds else nan,
            "requests_per_s": figures.ended / seconds if seconds else nan,
            "goodput_per_s": figures.good / seconds if seconds else nan,
            "ended": float(figures.ended),
            "preemptions": float(sum(pool.preemptions for pool in pools)),
            "hit_rate": hits / (hits + computed) if hits + computed else nan,
            **self._copied(hits + computed),
            "busy": busy / (seconds * len(pools)) if seconds else nan,
            "iterations": float(sum(pool.number for pool in pools)),
        }

    def tiers(self) -> list[dict[str, Any]]:
        """Of each tier of keys and values: blocks of all replicas, tokens that were found there of prompts, and bytes
        that were copied into it and out of it.
        """
        first = pools_of(self.service.first)
        copies = first[0].copies
        if copies is None:
            return []
        moves: Counter[tuple[int, int]] = sum((pool.moves for pool in first), Counter())
        size, rows = first[0].store.size, []
        behind = {place: moves[place, 0] * size for place in range(1, len(copies.tiers))}
        memory = sum(pool.hits for pool in first) - sum(behind.values())
        for place, (tier, blocks) in enumerate(zip(copies.tiers, copies.blocks, strict=True)):
            into, out = (sum(n for hop, n in moves.items() if hop[end] == place) for end in (1, 0))
            rows.append({
                "tier": tier, "blocks": blocks * len(first), "cached_tokens": behind.get(place, memory),
                "bytes_in": into * copies.block_bytes, "bytes_out": out * copies.block_bytes,
            })  # fmt: skip
        return rows

    def _copied(self, tokens: int) -> dict[str, float]:
        """Of tokens of prompts the share that was found behind memory, and bytes that were copied."""
        tiers = self.tiers()
        if not tiers:
            return {}
        behind = sum(row["cached_tokens"] for row in tiers[1:])
        return {
            "hit_rate_behind": behind / tokens if tokens else nan,
            "loaded_bytes": tiers[0]["bytes_in"],
            "written_bytes": tiers[0]["bytes_out"],
        }


def settings(deployed: Deployment) -> Scheduler:
    """What chooses requests: as the mapping has it, then its runtime, then as vLLM does.

    Of a scheduler that the mapping names and the runtime has not, the runtime says the most sequences alone.
    """
    own, software = deployed.scheduler, deployed.software.runtime.scheduler
    kind = next((each.kind for each in (own, software) if each.kind != "continuous"), "vllm-v1")
    if kind != software.kind:
        software = Scheduler(max_sequences=software.max_sequences)
    stated = {key: getattr(own, key) for key in Scheduler.model_fields if is_set(own, key)}
    return software.model_copy(update={**stated, "kind": kind})


def store_kind(deployed: Deployment) -> str:
    """Where keys and values lie: as the mapping has it, else as its runtime does."""
    return deployed.kv_store.kind or ("prefix" if deployed.software.runtime.prefix_caching else "blocks")


def service_of(
    deployed: Deployment, ended: Callable[[Sequence, int], None], iterations: Several[Iterations] = ()
) -> Service:
    """Replicas of a deployment, idle; the iterations of its stages are compiled anew unless they are given.

    Raises:
        ConfigError: what is wrong with its mapping.
        CapacityError: no room for a block of keys and values.
    """
    chosen, store, runtime = settings(deployed), deployed.kv_store, deployed.software.runtime
    kind = store_kind(deployed)
    iterations = iterations or [Iterations(Stages(stage)) for stage in stages_of(deployed)]
    size = store.block or runtime.kv_block
    total = store.blocks or most_blocks(deployed, size, chosen.tokens or TOKENS)
    swap = swap_of(deployed) if chosen.preempt == "swap" else no_swap
    if store.tiers and kind == "blocks":
        expected = "a kind that keeps what others find, 'prefix'"
        raise ConfigError(path=("mapping", "kv_store", "tiers"), found="some, of 'blocks'", expected=expected)
    copies = copies_of(deployed, total, size) if store.tiers else None
    lower: tuple[Any, ...] = ()
    if copies and store.reuse == "faster":
        prompt = alone(iterations[0], copies, chunk_of(registered("scheduler", chosen.kind)(chosen)))
        copies = worth(copies, prompt, size, deployed.model.max_context)
        lower = (prompt,)
    if copies:
        lower = (copies.blocks[1:], *lower)
    home = _home(deployed, kind, chosen) if chosen.home else None

    def pool(of: Iterations | FlowShop = iterations[0]) -> Pool:
        blocks = registered("kv", kind)(total // len(iterations), size, *lower)
        scheduler = registered("scheduler", chosen.kind)(chosen)
        return Pool(
            of, blocks, Turns(scheduler) if home else scheduler, chosen.order, swap=swap,
            ahead=bool(chosen.ahead), copies=copies, home=home,
        )  # fmt: skip

    prompts = [(pool(), Link(handed_over(deployed))) for _ in range(chosen.prompts or 0)]

    def replica() -> Replica:
        if deployed.ranks:
            return Ranks(iterations[0], [pool() for _ in range(deployed.nodes)])
        if len(iterations) == 1:
            return pool()
        shop = FlowShop(iterations)
        return Pipeline(shop, [pool(shop) for _ in iterations])

    pools = [replica() for _ in range(chosen.replicas * (1 if deployed.ranks else deployed.nodes))]
    return Service(pools, deployed.model.max_context, chosen.balance, ended, prompts)


def run(
    service: Callable[[Callable[[Sequence, int], None]], Service],
    requests: Iterator[Request],
    objective: tuple[float | None, float | None] = (None, None),
    in_flight: int | None = None,
    rows: Path | None = None,
    timeline: Path | None = None,
    progress: Callable[[int, float], None] | None = None,
    each: Callable[[Sequence], None] | None = None,
    series: Series | None = None,
) -> Run:
    """Serve requests; their rows and a timeline go to files as they end, and what they did to windows of a `series`.

    Broken off (Ctrl-C), it is what was served until then.

    `progress` is called with the requests that have ended and the time of the service, `each` with those themselves.
    """
    figures, written = Figures(*objective), Rows(rows) if rows else None
    drawn = Timeline(timeline) if timeline else None

    def ended(served: Sequence, replica: int) -> None:
        figures.add(served)
        if written is not None:
            written.add(served, replica)
        if drawn is not None:
            drawn.ended(served, replica)
        if series is not None:
            series.ended(served)
        if progress is not None and figures.ended % 1000 == 0:
            progress(figures.ended, served.last)
        if each is not None:
            each(served)

    made, partial = service(ended), False
    try:
        if drawn is not None:
            drawn.begin(made.pools)
        if series is not None:
            series.begin(made.replicas)
        made.run(requests, in_flight)
    except KeyboardInterrupt:
        partial = True
    finally:
        if written is not None:
            written.close(partial)
        if drawn is not None:
            drawn.close()
        if series is not None:
            series.close()
    return Run(made, figures, partial, in_flight is not None)


def _home(deployed: Deployment, store: str, chosen: Scheduler) -> Home:
    """The tier where the weights of models lie that take turns, those of each to be copied whole."""
    system, own, at = deployed.low.system, deployed.low.tier, ("mapping", "scheduler", "home")
    home = check_name(str(chosen.home), system.behind(own), at, f"tiers of {system.name} that links join to {own}")
    for applies, found, expected in (
        (store != "blocks", f"'{home}', and keys and values of '{store}'", "mapping.kv_store.kind: blocks"),
        (bool(chosen.prompts), f"'{home}', and prompts that are computed elsewhere", "no mapping.scheduler.prompts"),
        (not deployed.shares_memory, f"'{home}', and weights in two memories", "engines of one memory"),
    ):
        if applies:
            raise ConfigError(path=at, found=found, expected=expected)
    weights = float(held(deployed, 0.0, 1.0, 0.0)[0].weights)
    capacity = system.free(home) / (1 if home.partition(".")[0] == deployed.low.device else system.machine.nodes)
    return Home(home, weights, capacity, transfer(system, np.asarray(weights), home, own, name="load of a model"))
