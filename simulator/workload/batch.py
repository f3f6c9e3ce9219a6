"""What one forward pass computes: groups of sequences, each with its new tokens and its past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from simulator.core.resource import Quantity
from simulator.errors import ConfigError

PhaseName: TypeAlias = Literal["prefill", "decode"]


class Cut(NamedTuple):
    """What cuts the keys that a token sees: a window of `size` (the last ones, or those that an indexer ranks highest),
    or the begin of its own chunk of as many."""

    kind: Literal["window", "chunk"]
    size: int

    @property
    def limit(self) -> float:
        """Keys that a token sees at most that is alone in its pass; of a chunk the mean over its tokens."""
        return self.size if self.kind == "window" else (self.size + 1) / 2

    def pairs(self, new: Quantity, past: Quantity) -> Quantity:
        """Pairs of a prompt's new tokens after past ones and a key that each sees.

        Of a window W, the j-th new token (j = 1..n) sees min(p + j, W) keys, so with a = clip(W - p, 0, n) tokens
        before the window cuts: `a p + a (a + 1) / 2 + (n - a) W`. Of a chunk C, the i-th of all sees `i mod C + 1`:
        prompts add up, `S(p + n) - S(p)` with `S(t) = floor(t / C) C (C + 1) / 2 + r (r + 1) / 2, r = t mod C`.
        """
        size = self.size
        if self.kind == "chunk":
            return _within(past + new, size) - _within(past, size)
        a: Quantity = np.minimum(np.maximum(size - past, 0), new)
        return a * past + a * (a + 1) / 2 + (new - a) * size

    def keys(self, new: Quantity, past: Quantity) -> Quantity:
        """Keys that any of these tokens sees: `min(p + n, W + n - 1)`, or those from the begin of the first's chunk."""
        if self.kind == "chunk":
            return np.mod(past, self.size) + new
        seen: Quantity = np.minimum(past + new, self.size + new - 1)
        return seen


def _within(tokens: Quantity, chunk: int) -> Quantity:
    """Pairs of the tokens of a prompt and those of their own chunk."""
    rest = np.mod(tokens, chunk)
    added: Quantity = np.floor_divide(tokens, chunk) * (chunk * (chunk + 1) / 2) + rest * (rest + 1) / 2
    return added


@dataclass(frozen=True, eq=False)
class Sequences:
    """`count` sequences that each compute `new` tokens after `past` tokens that are in the KV cache.

    Each may be an array (then everything computed from them is): a whole range of contexts in one pass.
    All that a group demands is linear in `past` where no window cuts it, so that sequences of different
    contexts may be one group of their mean.

    `scored`: the new tokens were drafted, and all of them get logits, to be accepted or not; else the last one alone.

    Raises:
        ConfigError: a count or a number of new tokens that is not positive, a negative past.
    """

    count: Quantity
    new: Quantity
    past: Quantity = 0.0
    scored: bool = False

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("new", 1), ("past", 0)):
            value = getattr(self, name)
            number = np.asarray(value, dtype=np.float64) if np.ndim(value) else float(value)
            if not np.all((number >= least) & np.isfinite(number)):
                raise ConfigError(path=name, found=value, expected=f"{least} or more")
            object.__setattr__(self, name, number)

    @property
    def phase(self) -> PhaseName:
        """Decode computes one token a sequence, or those that were drafted for it; all else is prefill."""
        return "decode" if self.scored or (np.ndim(self.new) == 0 and self.new == 1) else "prefill"

    @property
    def tokens(self) -> Quantity:
        """Tokens that pass through the layers."""
        return self.count * self.new

    @property
    def logits(self) -> Quantity:
        """Tokens that pass through the head."""
        return self.tokens if self.scored else self.count

    def pairs(self, window: int | None = None) -> Quantity:
        """Pairs of a new token and a key that it sees: what a score is computed for."""
        n, p = self.new, self.past
        if window is None:
            return self.count * (n * p + n * (n + 1) / 2)
        return self.count * Cut("window", window).pairs(n, p)

    def keys(self, window: int | None = None) -> Quantity:
        """Keys that any new token sees: what is read of the cache."""
        if window is None:
            return self.count * (self.past + self.new)
        return self.count * Cut("window", window).keys(self.new, self.past)

    def mutual_pairs(self, chunk: int | None) -> Quantity:
        """Pairs where a token sees those behind it too, all or those of its chunk: `tokens min(p + n, C)`."""
        seen = self.past + self.new
        return self.tokens * (seen if chunk is None else np.minimum(seen, chunk))

    def chunk_pairs(self, chunk: int) -> Quantity:
        """Pairs where a token sees those of its own chunk of C alone.

        One new token, which may be any of its chunk, sees their mean, `(C + 1) / 2`, where the context is as long.
        """
        cut = Cut("chunk", chunk)
        if self.phase == "decode":
            return self.count * self.new * np.minimum(self.past + 1, cut.limit)
        return self.count * cut.pairs(self.new, self.past)

    def chunk_keys(self, chunk: int) -> Quantity:
        """Keys that any new token sees: those from the begin of the chunk of the first on, or the mean of a decode."""
        cut = Cut("chunk", chunk)
        if self.phase == "decode":
            return self.count * np.minimum(self.past + self.new, cut.limit + self.new - 1)
        return self.count * cut.keys(self.new, self.past)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Sequences of one phase whose lengths differ, as sums over them; each sum may be an array, and 0.

    Attributes:
        phase: `prefill` or `decode`.
        count: sequences; each gets the logits of its last token.
        tokens: new tokens, of all of them.
        seen: pairs of a new token and a key that it sees.
        cached: keys that any new token of its sequence sees: what is read of the cache.
        cut: pairs and keys where so many are seen at most, by what cuts them.

    Raises:
        ConfigError: a sum that is negative or not finite; a window whose sums are not known: it cuts each length for
            itself.
    """

    phase: PhaseName
    count: Quantity
    tokens: Quantity
    seen: Quantity
    cached: Quantity
    cut: Mapping[Cut, tuple[Quantity, Quantity]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("count", "tokens", "seen", "cached"):
            number = np.asarray(getattr(self, name), dtype=np.float64)
            if not np.all((number >= 0) & np.isfinite(number)):
                raise ConfigError(path=name, found=getattr(self, name), expected="0 or more")

    @property
    def logits(self) -> Quantity:
        """Tokens that pass through the head."""
        return self.count

    def pairs(self, window: int | None = None) -> Quantity:
        """As `Sequences.pairs`."""
        return self.seen if window is None else self._of(Cut("window", window))[0]

    def keys(self, window: int | None = None) -> Quantity:
        """As `Sequences.keys`."""
        return self.cached if window is None else self._of(Cut("window", window))[1]

    def mutual_pairs(self, chunk: int | None) -> Quantity:
        """As `Sequences.mutual_pairs`, which sums do not tell."""
        raise ConfigError("images of different sizes", found="sums over them", expected="as many patches of each")

    def chunk_pairs(self, chunk: int) -> Quantity:
        """As `Sequences.chunk_pairs`."""
        return self._of(Cut("chunk", chunk))[0]

    def chunk_keys(self, chunk: int) -> Quantity:
        """As `Sequences.chunk_keys`."""
        return self._of(Cut("chunk", chunk))[1]

    def _of(self, cut: Cut) -> tuple[Quantity, Quantity]:
        if cut not in self.cut:
            what = f"a sliding window of {cut.size}" if cut.kind == "window" else f"attention in chunks of {cut.size}"
            expected = "a model without one, or a trace or a scheduler of a program, as vllm-v1"
            raise ConfigError("sequences of different lengths", found=what, expected=expected)
        return self.cut[cut]


@dataclass(frozen=True, eq=False)
class Shard:
    """What one of `ways` devices has of sequences that they share token by token (context parallelism).

    A prompt is cut into `2 ways` equal chunks, the last one padded, of which device i has chunk i and chunk
    `2 ways - 1 - i`, so that all see as many pairs; of a window, the device with the two in the middle sees most, and
    counts. Keys lie where their tokens are, those of answers token by token in turn. In a prompt a device has its rows
    alone; all devices have each new token of a sequence that decodes. Of prompts without a window, pairs and keys are
    those of one round of ring attention (arXiv 2310.01889): those of one device's keys. Of sums over sequences a device
    has an equal share, without padding.
    """

    whole: Sequences | Ragged
    ways: int

    @property
    def phase(self) -> PhaseName:
        return self.whole.phase

    @property
    def count(self) -> Quantity:
        return self.whole.count

    @property
    def logits(self) -> Quantity:
        """Tokens that pass through the head, on all devices alike."""
        return self.whole.logits

    @property
    def tokens(self) -> Quantity:
        """Tokens that pass through the layers."""
        return self.whole.tokens if self.phase == "decode" else self._padded.tokens / self.ways

    @property
    def rounds(self) -> int:
        """Parts of the keys, one a device, that a prompt goes over where no window cuts what it sees."""
        return 1 if self.phase == "decode" else self.ways

    def mutual_pairs(self, chunk: int | None) -> Quantity:
        """As `Sequences.mutual_pairs`, of its tokens and its keys, or in a chunk of all keys that these see."""
        return self.whole.mutual_pairs(chunk) / (self.ways if chunk else self.ways**2)

    def pairs(self, window: int | None = None) -> Quantity:
        """As `Sequences.pairs`, of its tokens and its keys, or of a prompt in a window all keys that these see."""
        if self.phase == "decode":
            return self.whole.pairs(window) / self.ways
        return self._padded.pairs() / self.ways**2 if window is None else self._middle.pairs(window)

    def keys(self, window: int | None = None) -> Quantity:
        """As `Sequences.keys`: its own, or of a prompt in a window all that its tokens see."""
        if self.phase == "decode":
            return self.whole.keys(window) / self.ways
        return self._padded.keys() / self.ways if window is None else self._middle.keys(window)

    def chunk_pairs(self, chunk: int) -> Quantity:
        """As `Sequences.chunk_pairs`, an equal share."""
        return (self.whole if self.phase == "decode" else self._padded).chunk_pairs(chunk) / self.ways

    def chunk_keys(self, chunk: int) -> Quantity:
        """As `Sequences.chunk_keys`; of a prompt, as many as of a window."""
        return self.whole.chunk_keys(chunk) / self.ways if self.phase == "decode" else self.keys(chunk)

    def passed(self, window: int | None) -> Quantity:
        """Keys that come from other devices: of a prompt those of one, a round; those before both chunks in a window.

        In a window of W these are `2 (W - 1)`, or all others where it is so wide. Of a decode none: partial outputs go.
        """
        if self.phase == "decode":
            return 0.0
        if window is None:
            return self.keys()
        return np.minimum(self.count * 2.0 * (window - 1), self._padded.keys() * (1 - 1 / self.ways))

    @property
    def _padded(self) -> Sequences | Ragged:
        """The prompts, of two chunks a device."""
        if isinstance(self.whole, Ragged):
            return self.whole
        rows = 2 * np.ceil(self.whole.new / (2 * self.ways))
        return Sequences(self.count, rows * self.ways, self.whole.past)

    @property
    def _middle(self) -> Sequences | Ragged:
        """The two chunks in the middle, which lie together, after half of the others."""
        padded = self._padded
        if isinstance(padded, Ragged):
            return padded
        rows = padded.new / self.ways
        return Sequences(self.count, rows, padded.past + rows * (self.ways - 1) / 2)


Batch: TypeAlias = tuple[Sequences | Ragged | Shard, ...]
"""The sequences of one forward pass; a mixed batch is `prefill(...) + decode(...)`."""


def prefill(batch: Quantity, length: Quantity, past: Quantity = 0.0) -> Batch:
    """`batch` prompts of `length` tokens, of which `past` more were computed before (a chunk, a cached prefix)."""
    return (Sequences(batch, length, past),)


def decode(batch: Quantity, context: Quantity) -> Batch:
    """One token for each of `batch` sequences that have `context` tokens in the cache."""
    return (Sequences(batch, 1, context),)
