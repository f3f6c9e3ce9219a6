"""Traces of a Composition of Experts: which expert model each prompt needs, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, described
from simulator.files import read_rows


@dataclass(frozen=True, eq=False)
class Trace:
    """The expert of each prompt, `choices` (int64, one a prompt), out of `experts` numbered from 0."""

    experts: int
    choices: NDArray[np.int64]

    def __post_init__(self) -> None:
        choices = np.array(self.choices, dtype=np.int64)
        if choices.size and not (choices.min() >= 0 and choices.max() < self.experts):
            found = f"experts {choices.min()} to {choices.max()}"
            raise ConfigError("trace", found=found, expected=f"experts 0 to {self.experts - 1}")
        choices.setflags(write=False)
        object.__setattr__(self, "choices", choices)

    def __len__(self) -> int:
        return len(self.choices)


def cyclic(experts: int, prompts: int) -> Trace:
    """Prompt i needs expert i mod n: every LRU that holds fewer than n misses each time."""
    _check(experts, prompts)
    return Trace(experts, np.arange(prompts, dtype=np.int64) % experts)


def uniform(experts: int, prompts: int, seed: int = 0) -> Trace:
    """All experts equally likely, each prompt independent."""
    _check(experts, prompts)
    return Trace(experts, _random(seed).integers(experts, size=prompts))


def zipf(experts: int, prompts: int, exponent: float = 1.0, seed: int = 0) -> Trace:
    """Expert e with probability proportional to (e + 1)^-exponent, each prompt independent; 0 is uniform."""
    _check(experts, prompts)
    if not 0 <= exponent < np.inf:
        raise ConfigError(path="exponent", found=exponent, expected="0 or more")
    cumulative = np.cumsum(np.arange(1, experts + 1, dtype=np.float64) ** -exponent)
    drawn = _random(seed).random(prompts) * cumulative[-1]
    return Trace(experts, np.minimum(np.searchsorted(cumulative, drawn, side="right"), experts - 1))


def markov(experts: int, prompts: int, stay: float = 0.9, seed: int = 0) -> Trace:
    """Sticky topics: the next prompt needs the same expert with probability `stay`, else any other equally likely.

    The mean run is `1 / (1 - stay)` prompts.
    """
    _check(experts, prompts)
    if not 0 <= stay <= 1:
        raise ConfigError(path="stay", found=stay, expected="a probability, 0 to 1")
    if experts == 1:
        return Trace(1, np.zeros(prompts, dtype=np.int64))
    random = _random(seed)
    steps = np.where(random.random(prompts) < stay, 0, random.integers(1, experts, size=prompts))
    if prompts:
        steps[0] = random.integers(experts)
    return Trace(experts, np.cumsum(steps) % experts)


GENERATORS: dict[str, Callable[..., Trace]] = {"cyclic": cyclic, "uniform": uniform, "zipf": zipf, "markov": markov}
"""Generators by name, each called with `experts`, `prompts` and what else it takes; equal seeds give equal traces."""


def load_trace(path: str | Path, experts: int | None = None) -> Trace:
    """Reads a CSV with the header `prompt,expert`: a label, and the expert's number; one row a prompt, in order.

    Without `experts`, there are as many as the largest number says.

    Raises:
        ConfigError: with file and line: no such file, another header, no rows, a row of another length, an expert that
            is no integer or out of range.
    """
    file = Path(path)
    rows = read_rows(file)
    _, header = next(rows, (1, []))
    if [cell.strip() for cell in header] != ["prompt", "expert"]:
        raise ConfigError("header", file=file, line=1, found=described(",".join(header)), expected="'prompt,expert'")
    choices = [_expert(row[1], experts, file, line) for line, row in rows]
    if not choices:
        raise ConfigError("the trace is empty", file=file, line=1, expected="a row for each prompt")
    return Trace(experts or max(choices) + 1, np.array(choices, dtype=np.int64))


def _expert(text: str, experts: int | None, file: Path, line: int) -> int:
    """The expert of one row."""
    wanted = f"an integer from 0 to {experts - 1}" if experts else "an integer, 0 or more"
    text = text.strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if number < 0 or (experts and number >= experts):
        raise ConfigError("expert", file=file, line=line, found=described(text), expected=wanted)
    return number


def _check(experts: int, prompts: int) -> None:
    """Raises `ConfigError` unless there is an expert, and no negative number of prompts."""
    for name, value, least in (("experts", experts, 1), ("prompts", prompts, 0)):
        if value < least:
            raise ConfigError(path=name, found=value, expected=f"{least} or more")


def _random(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))
