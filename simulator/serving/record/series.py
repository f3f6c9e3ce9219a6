"""What a service does by window of time, summed as it goes on: as many windows at most as a chart shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from simulator.serving.record.digest import Digest
from simulator.serving.service.pool import Pool, Watch
from simulator.serving.service.sequence import Sequence
from simulator.serving.service.work import Work

MOST = 1024
"""Windows that are kept: beyond them they get twice as wide, two and two together."""


@dataclass
class Window:
    """Sums over a window.

    Attributes:
        waiting, running: seconds of requests that wait, and that are served.
        held: seconds of blocks of keys and values that sequences hold.
        busy: seconds of replicas that work.
        prompt_tokens, answer_tokens, cached_tokens: computed of prompts, given, and found of prompts.
        came, ended: requests.
        ttft: seconds to the first tokens that came in it.
        work: what iterations that ended in it computed, and what was copied for them.
    """

    waiting: float = 0.0
    running: float = 0.0
    held: float = 0.0
    busy: float = 0.0
    prompt_tokens: float = 0.0
    answer_tokens: float = 0.0
    cached_tokens: float = 0.0
    came: int = 0
    ended: int = 0
    ttft: Digest = field(default_factory=Digest)
    work: Work = field(default_factory=Work)

    def merge(self, other: Window) -> None:
        """Add what another has summed."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.ttft.merge(other.ttft)
        self.work.merge(other.work)


SUMS = tuple(each.name for each in fields(Window) if each.default is not MISSING)


class Series:
    """Windows of time, which pools and ended requests fill.

    A request counts in all windows in which it waited and was served, from its end on; what a run of iterations does
    counts evenly over the time that it takes, but for what it computes (`work`), which counts where it ends.

    Attributes:
        width: seconds of a window: as it is stated, or 1 and doubled as often as there would be more than `MOST`.
    """

    def __init__(self, width: float | None = None) -> None:
        self.width, self._fixed = width or 1.0, width is not None
        self._windows: dict[int, Window] = {}
        self._pools: list[tuple[Pool, Work]] = []
        self.end = 0.0

    def begin(self, pools: Iterable[Pool]) -> None:
        """Watch pools, beside who watches them already."""
        for pool in pools:
            pool.watch = self._watch(pool, pool.watch)
            self._pools.append((pool, Work()))

    def close(self) -> None:
        """Give the pools back what they have computed in all."""
        for pool, work in self._pools:
            pool.work.merge(work)

    def __iter__(self) -> Iterator[tuple[float, float, Window]]:
        """When each window began, its seconds until the last token, and its sums; from the first that has some."""
        for place in range(min(self._windows, default=0), max(self._windows, default=-1) + 1):
            start = place * self.width
            seconds = min(self.width, self.end - start)
            if seconds > 0:
                yield start, seconds, self._windows.get(place) or Window()

    def ended(self, served: Sequence) -> None:
        """A request has had its last token."""
        self.end = max(self.end, served.last)
        self._spread("waiting", served.came, served.scheduled, served.scheduled - served.came)
        self._spread("running", served.scheduled, served.last, served.last - served.scheduled)
        self._at(served.came).came += 1
        self._at(served.last).ended += 1
        self._at(served.first).ttft.add(served.first - served.came)

    def _watch(self, pool: Pool, other: Watch | None) -> Watch:
        place = len(self._pools)
        before = [pool.prompt_tokens, pool.answer_tokens, pool.hits, pool.busy]
        names = ("prompt_tokens", "answer_tokens", "cached_tokens", "busy")

        def watch(pool: Pool, start: float, number: int, decoding: int, tokens: int) -> None:
            if other is not None:
                other(pool, start, number, decoding, tokens)
            now = pool.now
            sums: list[float] = [pool.prompt_tokens, pool.answer_tokens, pool.hits, pool.busy]
            held = (pool.store.total - pool.store.free) * (now - start)
            for name, after, earlier in zip(names, sums, before, strict=True):
                if after != earlier:
                    self._spread(name, start, now, after - earlier)
            self._spread("held", start, now, held)
            before[:] = sums
            if number:
                for work in (self._at(now).work, self._pools[place][1]):
                    work.merge(pool.work)
                pool.work = Work()

        return watch

    def _at(self, time: float) -> Window:
        place = int(time / self.width)
        window = self._windows.get(place)
        if window is None:
            while not self._fixed and place >= MOST:
                self._halve()
                place = int(time / self.width)
            window = self._windows.setdefault(place, Window())
        return window

    def _halve(self) -> None:
        """Windows twice as wide, half as many."""
        self.width *= 2
        windows, self._windows = self._windows, {}
        for place in sorted(windows):
            if (whole := self._windows.get(place // 2)) is None:
                self._windows[place // 2] = windows[place]
            else:
                whole.merge(windows[place])

    def _spread(self, name: str, start: float, end: float, amount: float) -> None:
        """An amount that comes evenly between two times."""
        if not amount:
            return
        last = self._at(end)  # which may widen them
        first, final = int(start / self.width), int(end / self.width)
        if first == final:
            setattr(last, name, getattr(last, name) + amount)
            return
        for place in range(first, final + 1):
            lasts = min(end, (place + 1) * self.width) - max(start, place * self.width)
            window = self._at((place + 0.5) * self.width)
            setattr(window, name, getattr(window, name) + amount * lasts / (end - start))


def columns() -> dict[str, Any]:
    """Of each column of a series of figures, what makes it of a window and its seconds."""
    return {
        "arrivals_per_s": lambda w, s: w.came / s,
        "requests_per_s": lambda w, s: w.ended / s,
        "tokens_per_s": lambda w, s: w.answer_tokens / s,
        "prompt_tokens_per_s": lambda w, s: w.prompt_tokens / s,
        "waiting": lambda w, s: w.waiting / s,
        "running": lambda w, s: w.running / s,
        "ttft_p50_s": lambda w, s: w.ttft.percentile(50),
        "ttft_p99_s": lambda w, s: w.ttft.percentile(99),
        "hit_rate": lambda w, s: (
            w.cached_tokens / (w.cached_tokens + w.prompt_tokens) if w.cached_tokens + w.prompt_tokens else float("nan")
        ),
    }
