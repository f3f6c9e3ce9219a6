"""Partial scenarios laid over one another, and where in the YAML a key of the whole stands."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from simulator.config import Config, KeyPath
from simulator.config.check import problems, raised
from simulator.errors import ConfigError
from simulator.scenario.cases import FORMS, SECTIONS, is_figures, part_over
from simulator.scenario.form import Scenario
from simulator.scenario.reads import reads
from simulator.study.form import Partial


@dataclass(frozen=True)
class Layer:
    """A partial scenario, and the key of the YAML at which it stands."""

    at: KeyPath
    part: Partial


def laid(layers: Sequence[Layer], config: Config) -> Scenario:
    """The scenario of partial ones, each over those before it.

    Raises:
        ConfigError: what is wrong with it, at the line of the last that has the key.
    """
    data: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.part.model_dump(include=set(Partial.model_fields), exclude_unset=True).items():
            data[key] = part_over(data.get(key), value, key)
    data = {key: value for key, value in data.items() if value is not None}
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        wrong = list(problems(data, Scenario, error))
    raise raised([_at(problem, layers, config) for problem in wrong])


def read_by(part: Partial, kind: str, kinds: Collection[str]) -> Partial:
    """Of a partial scenario that runs of several kinds of workload share, what one of these kinds reads.

    What none of them reads is left in it, for the scenario to refuse.
    """
    own, others = reads(kind), set().union(*map(reads, kinds))
    data = {key: getattr(part, key) for key in part.model_fields_set & set(Partial.model_fields)}
    for section in SECTIONS:
        if section in data:
            data[section] = _without(data[section], section, others - own)
    kept = {key for key in data if key not in (*FORMS, "sized", "costs") or key in own or key not in others}
    return Partial(**{key: value for key, value in data.items() if key in kept})


def _without(section: Mapping[str, Any], at: str, paths: Collection[str]) -> dict[str, Any]:
    """A section at a path, without what stands at some paths."""
    kept = {key: value for key, value in section.items() if f"{at}.{key}" not in paths}
    residency = kept.get("residency") if at == "mapping" else None
    if isinstance(residency, dict):
        kept["residency"] = _without(residency, f"{at}.residency", paths)
    return kept


def values_of(part: Partial) -> dict[str, Any]:
    """What a partial scenario gives, by dotted path."""
    values: dict[str, Any] = {}
    for key in (key for key in Partial.model_fields if key in part.model_fields_set):
        value = getattr(part, key)
        is_whole = key in FORMS and not is_figures(value, key)
        values |= {key: value} if is_whole and value is not None else _leaves({key: value})
    return values


@contextmanager
def located_in(layers: Sequence[Layer], config: Config) -> Iterator[None]:
    """Give an error of a key of a scenario the line of the last partial one that has the key."""
    try:
        yield
    except ConfigError as error:
        if error.file is not None:
            raise
        raise _at(error, layers, config) from None


def _leaves(section: Mapping[str, Any], *at: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in section.items():
        if value is None:
            raise ConfigError(path=(*at, *key.split(".")), found="nothing", expected="a value, or no such key")
        path = (*at, key)
        values |= _leaves(value, *path) if isinstance(value, dict) else {".".join(path): value}
    return values


def _at(error: ConfigError, layers: Sequence[Layer], config: Config) -> ConfigError:
    """The error at the key of the last layer that has most of its path."""
    path = error.path or ()
    keys: KeyPath = tuple(path.split(".")) if isinstance(path, str) else tuple(path)

    def depth(layer: Layer) -> int:
        lengths = range(len(keys), 0, -1)
        return next((length for length in lengths if (*layer.at, *keys[:length]) in config.marks), 0)

    depths = [depth(layer) for layer in layers]
    layer = layers[max(range(len(layers)), key=lambda place: (depths[place], place * (depths[place] > 0)))]
    return config.error(
        (*layer.at, *keys), error.message, found=error.found, expected=error.expected, nearest=error.nearest
    )
