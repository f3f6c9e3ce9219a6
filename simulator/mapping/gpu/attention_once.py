"""Attention of one iteration in plain floats: what `attention.py` says of arrays, for a model whose heads stay.

What hangs on the chip, the library and the heads alone is worked out once. Sequences are told by their number and their
mean, as iterations of a service know them; nothing is in L2 from a call before, and no window cuts what is seen.
"""

from __future__ import annotations

from math import ceil, inf
from typing import NamedTuple, Protocol

import numpy as np

from simulator.mapping.gpu.attention import (
    KEYS,
    QUERIES,
    SPLITS,
    DecodeLibrary,
    PrefillLibrary,
    attention_of,
    may_split,
)
from simulator.mapping.gpu.chip import Chip
from simulator.mapping.gpu.kernel import KEPT, POWER, Array, Shapes, norm
from simulator.mapping.gpu.tiles import waves


class Once(Protocol):
    """Seconds of attention after its launch, of sequences alike."""

    def seconds(self, sequences: float, queries: float, keys: float) -> float:
        """Of so many sequences with these queries and keys each."""

    def over(self, sequences: float, keys: Array) -> Array:
        """Of sequences with one query each, over keys that rise by one each time."""


class PrefillOnce:
    """Attention of prompts, of heads that stay (`attention.py: PREFILL`)."""

    def __init__(self, shape: Shapes, chip: Chip, library: PrefillLibrary) -> None:
        a = attention_of({**shape, "batch": 1.0, "seq_q": 1.0, "seq_kv": 1.0})
        self._heads, self._kv_heads, self._group = float(a.heads), float(a.kv_heads), float(a.group)
        self._causal, self._always, self._sms = bool(a.causal), library.packed == "always", chip.sms
        rate = float(chip.rate(a.dtype)) / chip.sms * library.emax * float(a.size) / (float(a.size) + library.d0)
        self._step = 4.0 * QUERIES * KEYS * float(a.size) / rate + library.step
        self._library, self._chip = library, chip
        self._dram, self._l2 = float(library.ebw * chip.bandwidth), float(chip.l2_bandwidth)
        self._token, self._passed = float(a.token), 4.0 * float(a.heads * a.size)
        self._kept = KEPT * float(chip.l2)

    def seconds(self, sequences: float, queries: float, keys: float) -> float:
        library = self._library
        compute, longest = self._blocks(sequences, queries, keys, queries, self._heads)
        if self._always or queries == 1:
            shared = self._blocks(sequences, queries, keys, queries * self._group, self._kv_heads)
            compute, longest = shared if shared[0] < compute else (compute, longest)
        moved = sequences * (keys * self._token + queries * self._passed)
        in_cache = min(1.0, self._kept / max(moved, 1.0)) ** POWER
        dram, p = moved * (1 - in_cache) / self._dram, library.p
        blocks: float = ((compute + library.tail * longest) ** p + dram**p) ** (1 / p)
        return blocks + library.epi * moved / self._l2

    def over(self, sequences: float, keys: Array) -> Array:
        return np.array([self.seconds(sequences, 1.0, each) for each in keys.tolist()])

    def _blocks(self, sequences: float, queries: float, keys: float, rows: float, heads: float) -> tuple[float, float]:
        """Seconds of all blocks of one SM, and of the longest, where so many rows of a sequence share KV heads."""
        tiles, advance = ceil(rows / QUERIES), min(QUERIES * queries / rows, queries)
        longest = mean = float(ceil(keys / KEYS))
        if self._causal and tiles > 1:
            mean = (min(max(ceil((keys - queries + advance) / KEYS), 1), longest) + longest) / 2
        block = self._library.block
        seconds = heads * sequences * tiles * (mean * self._step + block) / self._sms
        return seconds, longest * self._step + block


class _Split(NamedTuple):
    """A split of the KV cache for a number of sequences: its parts, waves of blocks, seconds of the second kernel."""

    parts: int
    turns: float
    sums: float


class _Chain(NamedTuple):
    """A split for a number of steps too: its least seconds, of a chain of loads alone and of the second kernel.

    `loads` are those of the chain to the power.
    """

    least: float
    loads: float
    sums: float


class DecodeOnce:
    """Attention of one token a sequence, of heads that stay (`attention.py: DECODE`)."""

    def __init__(self, shape: Shapes, chip: Chip, library: DecodeLibrary) -> None:
        a = attention_of({**shape, "batch": 1.0, "seq_q": 1.0, "seq_kv": 1.0})
        readers = float(a.heads if library.reads == "head" else a.kv_heads * np.ceil(a.group / KEYS))
        self._readers, self._chip, self._library = readers, chip, library
        self._step, self._block = library.tau * float(a.load) / 128 + library.step, library.block
        dram = float(a.token) / (library.ebw * chip.bandwidth)
        l2 = float(a.token) * readers / float(a.kv_heads) / (library.l2f * chip.l2_bandwidth)
        self._p, self._key = library.p, float(norm(library.p, dram, l2))
        self._root = 1 / library.p
        self._passed = 4.0 * float(a.heads * a.size) / float(chip.l2_bandwidth)
        self._sums = library.sums * self._passed
        self._regroup = library.regroup if a.kv_heads > 1 and a.group > 1 else 0.0
        self._splits: dict[float, tuple[_Split, ...]] = {}
        self._chains: dict[tuple[float, int], tuple[_Chain, ...]] = {}

    def seconds(self, sequences: float, queries: float, keys: float) -> float:
        return self._fixed(sequences) + self._fastest(sequences, keys)[0]

    def over(self, sequences: float, keys: Array) -> Array:
        """Of sequences with one query each, over keys that rise by one each time: step by step of blocks over keys.

        Where steps are as many, two splits change places once at most, for `(L^p + y^p)^(1/p)` grows faster with y
        where L is less: one that is the fastest at both ends is it between them.
        """
        powers = (sequences * self._key * keys) ** self._p
        pieces, first = [], 0
        while first < len(keys):
            end = min(first + int(ceil(keys[first] / KEYS) * KEYS - keys[first]) + 1, len(keys))
            pieces.append(self._step_over(sequences, keys[first:end], powers[first:end]))
            first = end
        seconds: Array = (pieces[0] if len(pieces) == 1 else np.concatenate(pieces)) + self._fixed(sequences)
        return seconds

    def _step_over(self, sequences: float, keys: Array, powers: Array) -> Array:
        """The same where steps are as many."""
        chains = self._chains_of(sequences, ceil(keys.item(0) / KEYS))
        if len(chains) > 1:
            first, last = self._fastest(sequences, keys.item(0))[1], self._fastest(sequences, keys.item(-1))[1]
            chains = (first,) if first is last else chains
        fastest: Array = self._of(chains[0], powers)
        for each in chains[1:]:
            fastest = np.minimum(fastest, self._of(each, powers))
        return fastest

    def _of(self, chain: _Chain, powers: Array) -> Array:
        """Seconds of a split, by those of its bytes to the power."""
        return (chain.loads + powers) ** self._root + chain.sums

    def _fastest(self, sequences: float, keys: float) -> tuple[float, _Chain]:
        """The split that is the fastest, and its seconds."""
        root, power, best = self._root, (sequences * self._key * keys) ** self._p, inf
        for each in self._chains_of(sequences, ceil(keys / KEYS)):
            if each.least >= best:
                break
            seconds = (each.loads + power) ** root + each.sums
            if seconds < best:
                best, fastest = seconds, each
        return best, fastest

    def _fixed(self, sequences: float) -> float:
        """Seconds of queries and outputs, and of putting outputs back."""
        return self._passed * sequences + (self._regroup if sequences > 1 else 0.0)

    def _chains_of(self, sequences: float, steps: int) -> tuple[_Chain, ...]:
        """The splits that may be the fastest, by their least seconds: no other is as quick in both of its kernels."""
        key = sequences, steps
        if key not in self._chains:
            chains: list[_Chain] = []
            for each in self._splits_of(sequences):
                chain = each.turns * (-(-steps // each.parts) * self._step + self._block)
                chains.append(_Chain(chain + each.sums, chain**self._p, each.sums))
            kept: list[_Chain] = []
            for one in sorted(chains):
                if not any(other.loads <= one.loads and other.sums <= one.sums for other in kept):
                    kept.append(one)
            self._chains[key] = tuple(kept)
        return self._chains[key]

    def _splits_of(self, sequences: float) -> tuple[_Split, ...]:
        """The splits that the library has for so many sequences."""
        if sequences not in self._splits:
            self._splits[sequences] = tuple(
                _Split(
                    parts,
                    float(waves(sequences * self._readers * parts, self._chip.sms)),
                    self._library.ts + parts * self._sums * sequences if parts > 1 else 0.0,
                )
                for parts in SPLITS
                if may_split(self._library.splits, parts, np.asarray(sequences))
            )
        return self._splits[sequences]
