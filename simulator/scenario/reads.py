"""What a kind of workload, and a mode of it, reads of a scenario: one answer for every surface that asks."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from simulator.errors import ConfigError, described
from simulator.mapping.form import MappingForm, Residency
from simulator.registry import is_registered, registered

COSTS = frozenset({"price_usd", "peak_power_w"})
"""Metrics that a table of costs alone gives."""


def reads(kind: str) -> set[str]:
    """The paths that a kind of workload reads in some mode: parts of a scenario, keys of mapping and workload."""
    if not is_registered("evaluator", kind):
        return set()
    return _reads(registered("evaluator", kind))


@cache
def _reads(of: Any) -> set[str]:
    parts = {"costs"} if COSTS & {metric.name for metric in of.metrics} else set()
    parts |= {"sized"} if "devices" in of.mapping else set()
    residency = [f"residency.{key}" for key in getattr(of, "residency", ())]
    keys = {"workload": of.form.model_fields, "mapping": [*of.mapping, *residency]}
    return parts | {*of.needs, *(f"{section}.{key}" for section, some in keys.items() for key in some)}


def read_beside(kind: str, path: str) -> Collection[str] | None:
    """The keys that a kind of workload reads beside one that it does not; None of a key that it reads, and of none."""
    read, (root, *keys) = reads(kind), path.split(".")
    if not keys:
        return None if root in {*read, "mapping", "workload"} else {each for each in read if "." not in each}
    if root != "mapping":
        return read_beside(kind, root) if root in ("hardware", "model", "sized") else None
    if keys[0] == "residency" and f"mapping.{keys[0]}" in read and keys[1:]:
        form: type[BaseModel] = Residency
        at, key = "mapping.residency", keys[1]
    else:
        form, at, key = MappingForm, "mapping", keys[0]
    if key not in form.model_fields or f"{at}.{key}" in read:
        return None
    return {each.rpartition(".")[2] for each in read if each.rpartition(".")[0] == at}


def instead(kind: str, path: str) -> str:
    """What to do instead of giving a kind of workload a key that it does not read, where that is known."""
    known = getattr(registered("evaluator", kind), "instead", {})
    return f" ({known[path]})" if path in known else ""


def unread(scenario: Any) -> dict[str, str]:
    """The paths that the mode of a scenario does not read, and of each why: what the mode is."""
    hook = getattr(registered("evaluator", scenario.workload.kind), "unread", None)
    return dict(hook(scenario)) if hook else {}


def silent(scenario: Any) -> dict[str, str]:
    """Of the paths that the mode of a scenario does not read, those with a value that is not the default."""
    return {path: why for path, why in unread(scenario).items() if is_set(scenario, path)}


def check_read(scenario: Any) -> None:
    """Nothing where the mode of a scenario reads all that it gives; else a ConfigError of the key."""
    for path, why in silent(scenario).items():
        raise refused(path, why, value_at(scenario, path))


def refused(path: str, why: str, value: Any, file: Any = None) -> ConfigError:
    """What to tell of a key that is not read."""
    at = tuple(path.split("."))
    return ConfigError(f"{why} does not read it", file=file, path=at, found=written(value), expected="nothing")


def written(value: Any) -> str:
    """A value that a key has, a section as YAML has it without its defaults."""
    if not isinstance(value, BaseModel):
        return described(value)
    own = value.model_dump(mode="json", exclude_defaults=True)
    return f"{{{', '.join(f'{k}: {described(v) if isinstance(v, dict | list) else v}' for k, v in own.items())}}}"


def is_set(scenario: Any, path: str) -> bool:
    """Whether a scenario has a value at a path that is not the default."""
    at, _, key = path.rpartition(".")
    section = value_at(scenario, at) if at else scenario
    field = type(section).model_fields.get(key) if isinstance(section, BaseModel) else None
    if field is None:
        return False
    default = field.get_default(call_default_factory=True)
    return default is not PydanticUndefined and getattr(section, key) != default


def value_at(scenario: Any, path: str) -> Any:
    """The value of a scenario at a path; None where it has no such section."""
    value = scenario
    for key in path.split("."):
        value = getattr(value, key, None)
    return value
