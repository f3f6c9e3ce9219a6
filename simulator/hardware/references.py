"""Names in a machine's YAML that stand for another part of it: the tiers that engines read, the ends of links."""

from __future__ import annotations

from collections.abc import Iterator
from os.path import isfile

from simulator import data, registry
from simulator.config import Config, KeyPath
from simulator.errors import ConfigError, unknown
from simulator.hardware.machine import Machine, ends

ENGINES = ("gpu", "dataflow", "pim", "cpu")


def check_references(machine: Machine, config: Config) -> None:
    """Check that each name stands for a part that there is.

    Raises:
        ConfigError: those that do not, a line each, with file, line and key path.
    """
    _check_fabrics(machine, config)
    problems = [
        _problem(config, path, message, name, known)
        for path, message, name, known in _references(machine)
        if name not in known
    ]
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigError("\n".join(map(str, problems)))


def _check_fabrics(machine: Machine, config: Config) -> None:
    """A dataflow engine is a grid of PCUs and of PMUs, which are an on-chip tier that it reads."""
    for device_name, device in machine.devices.items():
        for engine_name, engine in device.engines.items():
            if engine.kind == "dataflow":
                on_chip = any(device.tiers[tier].on_chip for tier in engine.reads if tier in device.tiers)
                expected = None if engine.fabric else "fabric: {pcus: ..., pmus: ...}"
                expected = expected or (None if on_chip else "a tier of kind sram among those that it reads: its PMUs")
                if expected:
                    path = ("devices", device_name, "engines", engine_name)
                    mark = config.marks[path]
                    raise ConfigError("a dataflow engine", file=mark.file, line=mark.line, path=path, expected=expected)


def _references(machine: Machine) -> Iterator[tuple[KeyPath, str, str, list[str]]]:
    """Each name that stands for a part: where, what is wrong if there is no such part, the name, the parts."""
    if machine.runtime is not None and not isfile(machine.runtime):
        yield ("runtime",), "no such runtime", machine.runtime, data.names("hwconfigs/runtimes")
    outer = [*machine.devices, *machine.tiers, "node"]
    kinds = sorted({*ENGINES, *registry.names("lowering")})
    for device_name, device in machine.devices.items():
        at = ("devices", device_name)
        tiers, parts = list(device.tiers), [*device.tiers, *device.engines]
        outer += [f"{device_name}.{part}" for part in parts]
        for engine_name, engine in device.engines.items():
            yield (*at, "engines", engine_name, "kind"), "no such kind of engine", engine.kind, kinds
            for tier in engine.reads:
                yield (*at, "engines", engine_name, "reads", tier), "the device has no such tier", tier, tiers
        for link in device.links:
            for end in ends(link):
                yield (*at, "links", link), "a link to nothing", end, parts
    for link in machine.links:
        for end in ends(link):
            yield ("links", link), "a link to nothing", end, outer


def _problem(config: Config, path: KeyPath, message: str, name: str, known: list[str]) -> ConfigError:
    mark = config.marks[path]
    return unknown(name, known, message, file=mark.file, line=mark.line, path=path)
