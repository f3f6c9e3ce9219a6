"""What a stream of requests is like: its rates, its lengths, and how much of its prompts was there before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload.requests.request import Stream

if TYPE_CHECKING:
    from simulator.workload.requests.request import Batch

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

BINS = 240
"""Of time, at most; at least half as many in a long trace."""
GAPS = np.logspace(-6, 7, 13 * 16 + 1)
"""Bounds between which gaps are counted, in seconds."""
MOST_SEEN = 2**20
"""Names of contents that are remembered at once."""
PERCENTS = (50, 90, 99)


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each of some whole numbers came, in their order."""

    values: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    counts: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def with_(self, more: Ints) -> Counts:
        """With those of another chunk."""
        values, place = np.unique(np.concatenate([self.values, more]), return_inverse=True)
        weights = np.concatenate([self.counts, np.ones(len(more), dtype=np.int64)])
        return Counts(values, np.bincount(place, weights, len(values)).astype(np.int64))

    @property
    def mean(self) -> float:
        return float(self.values @ self.counts / self.counts.sum())

    def percentile(self, percent: float) -> int:
        """The least number that so many percent of all do not exceed."""
        upto = np.cumsum(self.counts)
        return int(self.values[np.searchsorted(upto, percent / 100 * upto[-1])])

    def as_json(self) -> dict[str, float]:
        """Mean, percentiles and the greatest."""
        return {
            "mean": self.mean,
            **{f"p{percent}": self.percentile(percent) for percent in PERCENTS},
            "max": int(self.values[-1]),
        }


@dataclass(frozen=True, eq=False)
class Summary:
    """Requests in sum. Times are in seconds from the first arrival; a bin is `bin_s` wide.

    `reused` is the share of prompt tokens that a cache without a limit had before, by what the stream says of prefixes,
    sessions and blocks; None where it says nothing. Beyond a million names of contents it is an estimate from a sample
    of them, of which each is followed whole (as in SHARDS, Waldspurger et al., FAST 2015).
    """

    requests: int
    sessions: int
    span_s: float
    gap_variation: float | None
    input: Counts
    output: Counts
    bin_s: float
    arrivals: Ints
    gaps: Ints
    reused: float | None
    reused_by_bin: Floats
    left_out: dict[str, int]

    @property
    def rate(self) -> float | None:
        """Requests a second; None where all come at once."""
        return self.requests / self.span_s if self.span_s > 0 else None

    @property
    def peak(self) -> float | None:
        """Requests a second in the busiest bin, over `rate`."""
        return float(self.arrivals.max()) / self.bin_s / self.rate if self.rate else None

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "sessions": self.sessions,
            "span_s": self.span_s,
            "requests_per_s": self.rate,
            "busiest_over_mean": self.peak,
            "bin_s": self.bin_s,
            "gap_variation": self.gap_variation,
            "input_tokens": self.input.as_json(),
            "output_tokens": self.output.as_json(),
            "reused": self.reused,
            "left_out": self.left_out,
        }


def summary(requests: Stream) -> Summary:
    """One pass over a stream, in memory that does not grow with it but for lengths that are new.

    Raises:
        ConfigError: it has no request; what is wrong in a trace.
    """
    sums = _Sums()
    for batch in requests.batches():
        if batch.num_rows:
            sums.add(batch)
    if not sums.requests:
        found = f"{sum(requests.left_out.values()):,} rows, all left out" if requests.left_out else "none"
        raise ConfigError("there are no requests", found=found)
    return sums.summary(dict(requests.left_out))


class _Sums:
    def __init__(self) -> None:
        self.requests, self.sessions = 0, 0
        self.input, self.output = Counts(), Counts()
        self.first, self.last = np.nan, np.nan
        self.gaps, self.gap_sums = np.zeros(len(GAPS) + 1, dtype=np.int64), np.zeros(3)
        self.width, self.by_bin = 2.0**-10, np.zeros((3, BINS))  # of requests, of tokens followed, of those reused
        self.prefixes, self.blocks = Seen(), Seen()

    def add(self, batch: Batch) -> None:
        arrival = batch.column("arrival_s").to_numpy()
        self.first = arrival[0] if np.isnan(self.first) else self.first
        prompts = batch.column("input_tokens").to_numpy()
        self.requests += batch.num_rows
        self.input, self.output = self.input.with_(prompts), self.output.with_(batch.column("output_tokens").to_numpy())
        first = batch.column("think_s").is_null().to_numpy(zero_copy_only=False)
        self.sessions += int((first & batch.column("session_id").is_valid().to_numpy(zero_copy_only=False)).sum())
        self._add_gaps(arrival[first])
        self._add_to_bins(arrival - self.first, np.stack([np.ones(len(prompts)), *self._reuse(batch, prompts)]))

    def _add_gaps(self, arrival: Floats) -> None:
        """Between arrivals that wait for no answer."""
        if not len(arrival):
            return
        gaps = np.diff(arrival, prepend=arrival[0] if np.isnan(self.last) else self.last)
        gaps = gaps[1:] if np.isnan(self.last) else gaps
        self.last = arrival[-1]
        self.gaps += np.bincount(np.searchsorted(GAPS, gaps, side="right"), minlength=len(self.gaps))
        self.gap_sums += len(gaps), gaps.sum(), (gaps**2).sum()

    def _add_to_bins(self, seconds: Floats, rows: Floats) -> None:
        """Bins are made twice as wide until the last one holds what comes."""
        while seconds[-1] >= BINS * self.width:
            self.by_bin = np.concatenate([self.by_bin.reshape(3, -1, 2).sum(axis=2), np.zeros((3, BINS // 2))], axis=1)
            self.width *= 2
        place = (seconds / self.width).astype(np.int64)
        self.by_bin += np.stack([np.bincount(place, row, BINS) for row in rows])

    def _reuse(self, batch: Batch, prompts: Ints) -> tuple[Floats, Floats]:
        """Of each request the tokens that are followed, and how many of them were there before."""
        followed, reused = prompts.astype(np.float64), np.zeros(len(prompts))
        prefix = batch.column("prefix_id")
        if prefix.null_count < len(prefix):
            _, seen = self.prefixes.seen(_hashes(prefix))
            has = prefix.is_valid().to_numpy(zero_copy_only=False)
            tokens = batch.column("prefix_tokens").fill_null(0).to_numpy()
            reused += np.where(has & seen, tokens, 0) * self.prefixes.worth
        reused = np.maximum(reused, batch.column("context_tokens").fill_null(0).to_numpy())
        ids = batch.column("block_ids")
        if ids.null_count < len(ids):
            tokens, again = self._blocks(batch, prompts)
            has = ids.is_valid().to_numpy(zero_copy_only=False)
            followed, reused = np.where(has, tokens, followed), np.where(has, again, reused)
        return followed, reused

    def _blocks(self, batch: Batch, prompts: Ints) -> tuple[Floats, Floats]:
        """Tokens in blocks of prompts that are followed, and in those of them that came before."""
        import pyarrow.compute as pc

        ids, row = batch.column("block_ids"), pc.list_parent_indices(batch.column("block_ids")).to_numpy()
        length = pc.list_value_length(ids).fill_null(0).to_numpy()
        place = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
        size = batch.column("block_tokens").fill_null(0).to_numpy()[row]
        tokens = np.clip(prompts[row] - place * size, 0, size)  # those of an answer have none
        sampled, seen = self.blocks.seen(pc.list_flatten(ids).to_numpy())
        followed: Floats = np.bincount(row, tokens * sampled, len(prompts)).astype(np.float64)
        again: Floats = np.bincount(row, tokens * (sampled & seen), len(prompts)).astype(np.float64)
        return followed, again

    def summary(self, left_out: dict[str, int]) -> Summary:
        number, total, squares = self.gap_sums
        varies = number > 1 and total > 0
        variation = float(np.sqrt(max(squares * number / total**2 - 1, 0))) if varies else None
        span = float(self.last - self.first)
        bins = int(span / self.width) + 1
        arrivals, followed, reused = self.by_bin[:, :bins]
        known = bool(self.prefixes.names or self.blocks.names or reused.sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            by_bin = reused / followed
        return Summary(
            self.requests,
            self.sessions,
            span,
            variation,
            self.input,
            self.output,
            self.width,
            arrivals.astype(np.int64),
            self.gaps,
            float(reused.sum() / followed.sum()) if known and followed.sum() else None,
            by_bin,
            left_out,
        )


class Seen:
    """Which names came before: of all, or, when they are too many, of a sample by their hashes, halved as needed."""

    def __init__(self) -> None:
        self.names: set[int] = set()
        self.worth = 1
        """How many names each of those that are followed stands for."""

    def seen(self, names: Ints) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of each name whether it is followed, and whether it came before; from now on it has."""
        followed = _mixed(names) % np.uint64(self.worth) == 0
        before = np.zeros(len(names), dtype=np.bool_)
        known = self.names
        for place in np.flatnonzero(followed).tolist():
            name = int(names[place])
            before[place] = name in known
            known.add(name)
        while len(self.names) > MOST_SEEN:
            self.worth *= 2
            kept = np.fromiter(self.names, dtype=np.int64)
            self.names = set(kept[_mixed(kept) % np.uint64(self.worth) == 0].tolist())
        return followed, before


def _mixed(names: Ints) -> NDArray[np.uint64]:
    """A hash of each: the finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    bits = names.astype(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _hashes(texts: Any) -> Ints:
    """A number of 64 bits for each text, the same in each run."""
    import pandas as pd

    codes, names = pd.factorize(np.array(texts.fill_null("").to_pylist(), dtype=object))
    hashes: Ints = pd.util.hash_array(np.asarray(names, dtype=object), categorize=False).astype(np.int64)
    return hashes[codes]
