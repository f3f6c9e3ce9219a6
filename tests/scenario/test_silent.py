"""No key is silent: another value changes a result, or is refused by the name of a key that the scenario gives."""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest

from simulator.errors import ConfigError, TiersimError
from simulator.registry import names, registered
from simulator.scenario.cases import with_values
from simulator.scenario.evaluator import evaluator
from simulator.scenario.reads import check_read, is_set, reads
from tests.scenario.modes import BESIDE, MODES, keys, others, scenario

DRAWN = 2
"""Keys of each mode, and pairs of keys, that are tried where not all are."""


CHOOSES = {"mapping.parallel"}
"""Keys that choose values of others: they may choose what holds anyway."""
CHOSEN = {f"mapping.{key}" for key in ("devices", "tensor", "pipeline", "context", "data", "expert", "experts")}
"""What they choose, or choose by: beside them it may be what they choose anyway."""


class Refused(NamedTuple):
    """A scenario that is refused: the path of the key, what is told to be there, and the whole text."""

    path: str
    found: str
    text: str


def outcome(mode: str, values: dict[str, Any]) -> dict[str, str] | str | Refused:
    """All metrics of a mode with other values at some paths; or that it does not fit; or how it is refused."""
    return _outcome(mode, json.dumps(values, sort_keys=True))


@cache
def _outcome(mode: str, values: str) -> dict[str, str] | str | Refused:
    try:
        case = with_values(scenario(mode), json.loads(values))
        check_read(case)
        kind = evaluator(case)
        metrics = kind.evaluate(case, {}, 1, {metric.name for metric in kind.metrics})
        full = str(np.ravel(metrics.get("error", ""))[0])
        return full or {name: repr(value) for name, value in metrics.items()}
    except ConfigError as error:
        path = error.path or ""
        return Refused(path if isinstance(path, str) else ".".join(map(str, path)), str(error.found), str(error))
    except TiersimError as error:
        return str(error)


def is_named(mode: str, refused: Refused, *paths: str) -> bool:
    """Whether a refusal is told at one of these keys, or at another that the scenario gives and they contradict."""
    at = refused.path
    own = any(at == path or at.startswith(f"{path}.") for path in paths)
    in_section = any(
        at and path.startswith(f"{at}.") and f"{path.rpartition('.')[2]}:" in refused.found for path in paths
    )
    parts = at.split(".")
    above = [at, *(".".join(parts[:depth]) for depth in range(2, len(parts)))]
    return own or in_section or any(is_set(scenario(mode), each) for each in above)


def fault(mode: str, path: str) -> str:
    """What is wrong with how a key of a mode is treated; nothing where a value shows and every refusal names a key."""
    values = others(scenario(mode), path)
    told = [_worst(mode, [{path: value} for value in values], beside) for beside in _besides(path)]
    return f"{path}: {told[-1]}" if all(told) else ""


def pair_fault(mode: str, one: str, other: str) -> str:
    """What is wrong with how two keys of a mode are treated together, at the first values of both."""
    values = [{one: a, other: b} for a in _seen(mode, one) for b in _seen(mode, other)]
    told = [_worst(mode, values, {**a, **b}) for a in _besides(one) for b in _besides(other)]
    return f"{one} and {other}: {told[-1]}" if all(told) else ""


@cache
def _seen(mode: str, path: str) -> list[Any]:
    """The first values of a key that do not state what holds anyway."""
    seen = [each for each in others(scenario(mode), path) if outcome(mode, {path: each}) != outcome(mode, {})]
    return (seen or others(scenario(mode), path))[:3]


def _besides(path: str) -> list[dict[str, Any]]:
    return [{}, BESIDE[path]] if path in BESIDE else [{}]


def _worst(mode: str, cases: list[dict[str, Any]], beside: dict[str, Any]) -> str:
    """What is wrong with values of keys: one is refused elsewhere, or a key shows in none of those not refused."""
    shown: set[str] = set()
    told = ""
    for values in cases:
        changed = outcome(mode, {**beside, **values})
        if isinstance(changed, Refused):
            if not is_named(mode, changed, *values, *beside):
                return f"refused elsewhere: {values}: {changed.text}"
        elif isinstance(changed, dict):
            told = f"silent: {values}"
        for path in values:
            without = outcome(mode, {**beside, **{key: value for key, value in values.items() if key != path}})
            both = isinstance(changed, Refused) and isinstance(without, Refused)
            shown |= {path} if changed != without and not both else set()
    return told if told and not shown.issuperset(set(cases[0]) - CHOOSES) else ""


def pairs(mode: str) -> list[tuple[str, str]]:
    """The pairs of keys of a mode, of which neither is a section that has the other."""
    pairs = combinations(alive(mode), 2)
    apart = [(a, b) for a, b in pairs if not (a.startswith(f"{b}.") or b.startswith(f"{a}."))]
    return [pair for pair in apart if not (CHOOSES & {*pair} and CHOSEN & {*pair})]


@cache
def alive(mode: str) -> list[str]:
    """The keys of a mode that its kind of workload reads; the form refuses all others, whatever stands beside them."""
    read = reads(MODES[mode]["workload"].get("kind", "batch"))
    return [path for path in keys(scenario(mode)) if any(path == each or path.startswith(f"{each}.") for each in read)]


def drawn(mode: str, population: list[Any], number: int) -> list[Any]:
    return Random(mode).sample(population, min(number, len(population)))


def test_every_kind_and_every_key_is_tried() -> None:
    ours = {kind for kind in names("evaluator") if registered("evaluator", kind).__module__.startswith("simulator.")}
    assert {scenario(mode).workload.kind for mode in MODES} == ours
    assert not [mode for mode in MODES if not isinstance(outcome(mode, {}), dict)]


@pytest.mark.parametrize("mode", MODES)
def test_a_key_that_a_kind_does_not_read_is_refused_by_its_name(mode: str) -> None:
    read = set(alive(mode))
    assert not [told for path in keys(scenario(mode)) if path not in read and (told := fault(mode, path))]


@pytest.mark.parametrize("mode", MODES)
def test_a_drawn_key_changes_a_result_or_is_refused_by_its_name(mode: str) -> None:
    assert not [told for path in drawn(mode, alive(mode), DRAWN) if (told := fault(mode, path))]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_key_changes_a_result_or_is_refused_by_its_name(mode: str) -> None:
    assert not [told for path in alive(mode) if (told := fault(mode, path))]


@pytest.mark.parametrize("mode", MODES)
def test_a_drawn_pair_of_keys_changes_a_result_or_is_refused_by_name(mode: str) -> None:
    assert not [told for pair in drawn(mode, pairs(mode), DRAWN) if (told := pair_fault(mode, *pair))]


@pytest.mark.slow
@pytest.mark.parametrize("kind", names("evaluator"))
def test_a_pair_of_keys_changes_a_result_or_is_refused_by_name(kind: str) -> None:
    """Each pair of keys of a kind, in one of its modes: the next one that has both."""
    modes = [mode for mode in MODES if scenario(mode).workload.kind == kind]
    of = {mode: set(pairs(mode)) for mode in modes}
    told = []
    for place, pair in enumerate(sorted(set().union(*of.values()))):
        mode = next(mode for mode in (*modes[place % len(modes) :], *modes) if pair in of[mode])
        told += [f"{mode}: {each}"] if (each := pair_fault(mode, *pair)) else []
    assert not told
