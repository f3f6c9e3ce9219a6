"""Which replica serves a request that arrives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

from simulator.serving.service.engines import Replica, pools_of
from simulator.serving.service.sequence import Sequence as Served


class Balance(NamedTuple):
    """A choice among replicas, and whether it looks at what they do at that moment."""

    choose: Callable[[Sequence[Replica], Served], int]
    looks: bool


def _round_robin(pools: Sequence[Replica], served: Served) -> int:
    return served.number % len(pools)


def _least_loaded(pools: Sequence[Replica], served: Served) -> int:
    return min(range(len(pools)), key=lambda place: (pools[place].outstanding, place))


def _prefix_aware(pools: Sequence[Replica], served: Served) -> int:
    """The one that has most of its prompt cached; of several, the least loaded."""
    return min(
        range(len(pools)), key=lambda at: (-_matched(pools[at], served), pools[at].outstanding, at)
    )  # fmt: skip


def _matched(replica: Replica, served: Served) -> int:
    return max(pool.store.match(served)[0] for pool in pools_of([replica]))


def _kv_aware(pools: Sequence[Replica], served: Served) -> int:
    """The one with the most free blocks, less those that who waits there, or will come, needs."""
    return max(range(len(pools)), key=lambda at: (_spare(pools[at]), -at))


def _spare(replica: Replica) -> int:
    pools = pools_of([replica])
    needed = sum(-(-each.target // pools[0].store.size) for each in replica.queued)
    return sum(pool.store.free for pool in pools) - needed


def _session(pools: Sequence[Replica], served: Served) -> int:
    """One for all requests of a session, or of a prefix."""
    name = served.request.session_id or served.request.prefix_id or served.request.request_id
    return crc32(name.encode()) % len(pools)


BALANCES = {
    "round_robin": Balance(_round_robin, False),
    "session": Balance(_session, False),
    "least_loaded": Balance(_least_loaded, True),
    "prefix_aware": Balance(_prefix_aware, True),
    "kv_aware": Balance(_kv_aware, True),
}
