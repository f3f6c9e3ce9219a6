"""Which engines of a machine a mapping names, and the machine that it leaves: so many devices, other kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from simulator.errors import ConfigError, nearest, one_of
from simulator.hardware import Engine, System
from simulator.mapping.form import MappingForm
from simulator.mapping.runtime.form import runtime_of
from simulator.mapping.runtime.machine import under_runtime
from simulator.mapping.target import Target, default_engine, target


def engine_names(system: System, names: Sequence[str], all_of_device: bool, dtype: str | None) -> tuple[str, ...]:
    """The full names, `device.engine`, of engines that a mapping names by these, by a device or by an engine alone.

    A device (the first, where nothing is named) stands for its default engine for a dtype, or for all of them.

    Raises:
        ConfigError: a name that is none of these, or an engine that several devices have.
    """
    devices = system.machine.devices
    found: dict[str, None] = {}
    for place, name in enumerate(names or (system.device()[0],)):
        if name in devices and devices[name].engines:
            engines = devices[name].engines
            own = list(engines) if all_of_device else [default_engine(engines, dtype)]
        else:
            own = []
        full = [f"{name}.{engine}" for engine in own] or [n for n in system.engines if name in (n, n.partition(".")[2])]
        if not full or (not own and len(full) > 1):
            known = full or list(system.engines)
            close = nearest(name, [*known, *devices])
            at = ("engines", place) if names else ("engines",)
            raise ConfigError(system.name, path=at, found=f"'{name}'", expected=one_of(known), nearest=close)
        found |= dict.fromkeys(full)
    return tuple(found)


def lone_engine(system: System, form: MappingForm) -> Target:
    """The one engine that a mapping names, or the default one, over its devices: for what is no model.

    Raises:
        ConfigError: several engines; a name that the machine lacks, more devices than it has.
    """
    names = engine_names(system, form.engines, False, form.dtype)
    if len(names) > 1:
        raise ConfigError(path="engines", found=", ".join(names), expected="one engine")
    device, _, engine = names[0].partition(".")
    system = under_runtime(system, runtime_of(form, system.machine.runtime))
    return target(narrowed(system, names, form.devices, form.fusion), device, engine, form.memory)


def narrowed(system: System, names: tuple[str, ...], devices: int | None, fusion: str | None) -> System:
    """The machine with so many devices of the first engine's type, and engines that fuse operators so; None: as it is.

    Of a machine without design points, the same object for the same answer: what it has worked out is kept.

    Raises:
        ConfigError: more devices than there are, or a way to fuse that an engine has not.
    """
    narrow = _narrowed if system.points is None else _narrowed.__wrapped__
    return narrow(system, names, devices, fusion)


@lru_cache(maxsize=64)
def _narrowed(system: System, names: tuple[str, ...], devices: int | None, fusion: str | None) -> System:
    device = names[0].partition(".")[0]
    return _fused(system if devices is None else _with_only(system, devices, device), names, fusion)


def _with_only(system: System, devices: int, device: str) -> System:
    most = system.count(device)
    if devices > most:
        expected = f"at most {most}; a larger machine is --set devices.{device}.count={devices}"
        raise ConfigError(f"{system.name} has {most} {device}", path="devices", found=devices, expected=expected)
    return system.with_devices(devices, device)


def _fused(system: System, names: Sequence[str], fusion: str | None) -> System:
    if fusion is None:
        return system
    devices = dict(system.machine.devices)
    for name in names:
        device, _, engine = name.partition(".")
        engines = devices[device].engines
        other = _fusing(engines[engine], name, fusion)
        devices[device] = devices[device].model_copy(update={"engines": {**engines, engine: other}})
    return replace(system, machine=system.machine.model_copy(update={"devices": devices}))


def _fusing(engine: Engine, name: str, fusion: str) -> Engine:
    if engine.fabric:
        return engine.model_copy(update={"fabric": engine.fabric.model_copy(update={"fusion": fusion})})
    if fusion == "streaming":
        found, expected = f"'{fusion}' with {name}, of kind {engine.kind}", one_of(["unfused", "conventional"])
        raise ConfigError(path="fusion", found=found, expected=expected)
    return engine.model_copy(update={"fusion": fusion})
