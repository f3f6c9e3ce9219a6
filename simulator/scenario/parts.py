"""The machine, the model and the deployment that a scenario names."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel

from simulator.config.choose import check_name
from simulator.config.path import replaced
from simulator.config.resolve import OPTION
from simulator.errors import ConfigError, described, one_of
from simulator.files import remembered
from simulator.hardware import Machine, System, load_system
from simulator.mapping.deployment import Deployment, by_nodes, resolve
from simulator.scenario.form import Scenario
from simulator.workload import Model, load_model

P = TypeVar("P", System, Model)


NODE = 8
"""Devices that share a host, at most."""


def machine(scenario: Scenario) -> System:
    """The machine of a scenario, with as many devices as it has for the model.

    Raises:
        ConfigError: none is given; no such machine, or a figure that it cannot have.
    """
    system: System = _part(scenario.hardware, "hardware", _machine)
    size = scenario.sized
    if size is None or not size.scale:
        return system
    own = system.machine
    devices = size.devices or own.devices[system.device()[0]].count
    nodes = size.nodes or (1 if size.devices else own.nodes)
    nodes, devices = scaled(nodes, devices, size.scale)
    if isinstance(scenario.hardware, System):
        return _with_devices(system, nodes, devices)
    return _sized(json.dumps(scenario.hardware, sort_keys=True), nodes, devices)


def scaled(nodes: int, devices: int, scale: int) -> tuple[int, int]:
    """Nodes, and devices in each, of `scale` times a machine: first a node is filled up to 8, then there are more."""
    inside = min(devices * scale, max(NODE, devices))
    return nodes * devices * scale // inside, inside


def model(scenario: Scenario) -> Model:
    """The model of a scenario, in the formats of its file.

    Raises:
        ConfigError: none is given; no such model, or a figure that it cannot have.
    """
    return _part(scenario.model, "model", _model)


def deployment(scenario: Scenario, rates: Mapping[str, Any] | None = None, *, requests: bool = False) -> Deployment:
    """The mapping of a scenario on its machine; with `rates`, on as many machines, by the paths of their figures.

    Of `requests`, each node computes its own attention and dense layers.

    Raises:
        ConfigError: parts that do not go together, by the key of the mapping.
    """
    form, system, served = scenario.mapping, machine(scenario), model(scenario)
    _check_phase(scenario, served)
    drafter = None
    if form.draft and form.draft.model:
        with at_key("mapping", "draft", "model"):
            drafter = _model(json.dumps(form.draft.model))
    with at_key("mapping"):
        form = by_nodes(form, system) if requests else form
        deployed = resolve(form, system.at(rates) if rates else system, served, drafter)
    if (
        form.devices is not None
        and scenario.sized
        and scenario.sized.scale
        and deployed.high.device == system.device()[0]
    ):
        expected = "one of both: `mapping.devices` takes some of the devices that a machine has"
        raise ConfigError(path="sized", found="a size, beside `mapping.devices`", expected=expected)
    return deployed


def _check_phase(scenario: Scenario, served: Model) -> None:
    """Nothing of a model of text; of a tower of images, whose patches are computed once, where no token is decoded."""
    work = scenario.workload
    phase = getattr(work, "phase", None)
    if not served.patches or phase == "prefill":
        return
    if phase is None:
        expected = f"a model of text: {served.name} is a tower of images, of a batch's prefill alone"
        raise ConfigError(
            path="model", found=f"'{served.name}' with a workload of kind '{work.kind}'", expected=expected
        )
    expected = f"'prefill' of {served.name}: a tower of images decodes no tokens (--phase prefill --input PATCHES)"
    raise ConfigError(path=("workload", "phase"), found=f"'{phase}'", expected=expected)


def named(scenario: Scenario, key: tuple[str, ...], known: Collection[str]) -> str:
    """The full name that the mapping has at a key, of one of the parts of its machine.

    Raises:
        ConfigError: it has none, or one that no part has.
    """
    value: Any = scenario.mapping
    for each in key:
        value = getattr(value, each)
    path = ("mapping", *key)
    if value is None:
        raise ConfigError("missing key", path=path, expected=one_of(known))
    return check_name(value, known, path)


def tiers(scenario: Scenario, system: System) -> tuple[str, str]:
    """The full names of the tiers of a residency: where all of it lies, and which holds what is in use.

    Raises:
        ConfigError: one that the machine lacks; the same; two that no link joins.
    """
    home, cache = (named(scenario, ("residency", key), system.tiers) for key in ("home", "cache"))
    path = ("mapping", "residency", "cache")
    if cache == home:
        raise ConfigError(path=path, found=f"'{cache}'", expected="another than the home tier")
    with at_key(*path):
        system.route(home, cache)
    return home, cache


def _part(part: Any, key: str, load: Callable[[str], P]) -> P:
    if part is None:
        raise ConfigError("missing key", path=key, expected="a name or a path")
    if not isinstance(part, str | dict):
        return part  # type: ignore[no-any-return]
    with at_key(key):
        return load(json.dumps(part, sort_keys=True))


@remembered(256)
def _sized(key: str, nodes: int, devices: int) -> System:
    return _with_devices(_machine(key), nodes, devices)


def _with_devices(system: System, nodes: int, devices: int) -> System:
    name, _ = system.device()
    return system.replaced({"nodes": nodes, f"devices.{name}.count": devices})


@remembered(4096)
def _machine(key: str) -> System:
    part = json.loads(key)
    return _with_figures(part, _machine, System.replaced, Machine) or load_system(part)


@remembered(256)
def _model(key: str) -> Model:
    part = json.loads(key)
    return _with_figures(part, _model, replaced, Model) or load_model(part)


def _with_figures(
    part: Any, load: Callable[[str], P], replace: Callable[[P, Mapping[str, Any]], P], form: type[BaseModel]
) -> P | None:
    """What an inline part extends, with its figures replaced; None where it gives more than figures by their paths."""
    if isinstance(part, dict) and not isinstance(part.get("extends", ""), str | dict):
        raise ConfigError(path="extends", found=described(part["extends"]), expected="a name or a path")
    if not isinstance(part, dict) or "extends" not in part or any(isinstance(v, dict | list) for v in part.values()):
        return None
    figures = {path: value for path, value in part.items() if path != "extends"}
    if any(path.partition(".")[0] not in form.model_fields for path in figures):  # those of a `config.json`
        return None
    base = load(json.dumps(part["extends"]))
    return replace(base, figures) if figures else base


@contextmanager
def at_key(*key: str) -> Iterator[None]:
    """Lead the path of an error of what stands there from that key of the scenario."""
    try:
        yield
    except ConfigError as error:
        on = () if error.path is None else (error.path,) if isinstance(error.path, str) else tuple(error.path)
        if error.file == OPTION:
            error.file, error.line = None, None
        if error.file is None and on[: len(key)] != key:
            error.path = (*key, *on)
        raise
