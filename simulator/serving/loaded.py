"""A machine and a model as they are asked for: by name or loaded already, with overrides and another number format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.errors import ConfigError, nearest, one_of
from simulator.hardware import System, load_system
from simulator.workload import Model, load_model
from simulator.workload.dtypes import BYTES_PER_ELEMENT
from simulator.workload.model import Dtypes


def loaded(
    hardware: System | str | Path,
    model: Model | str | Path,
    devices: int | None,
    dtype: str | None,
    overrides: Sequence[str],
) -> tuple[System, Model]:
    """The machine with so many devices, and the model in a number format, each by name unless it is loaded already.

    Raises:
        ConfigError: an override of a machine or a model that is loaded already, where it comes too late.
    """
    of_model = [o.removeprefix("model.") for o in overrides if o.startswith("model.")]
    of_hardware = [o.removeprefix("hardware.") for o in overrides if not o.startswith("model.")]
    for what, late in ((hardware, of_hardware), (model, of_model)):
        if late and isinstance(what, System | Model):
            raise ConfigError(
                "the override comes too late", found=late[0], expected="a name, or it when that was loaded"
            )
    system = hardware if isinstance(hardware, System) else load_system(hardware, of_hardware)
    if not isinstance(model, Model):
        try:
            model = load_model(model, of_model)
        except ConfigError as error:
            if str(error.file) == "--set" and not isinstance(error.path, str):
                error.path = ("model", *(error.path or ()))
            raise
    return with_only(system, devices), in_dtype(model, dtype)


def with_only(system: System, devices: int | None) -> System:
    """The machine with so many of its devices, or all of them (None).

    Raises:
        ConfigError: more than it has.
    """
    if devices is None:
        return system
    device, _ = system.device()
    there = system.count(device)
    if devices > there:
        expected = f"at most {there}; a larger machine is --set devices.{device}.count={devices}"
        raise ConfigError(f"{system.name} has {there} {device}", path="devices", found=devices, expected=expected)
    return system.with_devices(devices)


def in_dtype(model: Model, dtype: str | None) -> Model:
    """A model in another number format, or as it is (None).

    Raises:
        ConfigError: no such format.
    """
    if dtype is None:
        return model
    if dtype not in BYTES_PER_ELEMENT:
        close = nearest(dtype, BYTES_PER_ELEMENT)
        raise ConfigError(path="dtype", found=f"'{dtype}'", expected=one_of(BYTES_PER_ELEMENT), nearest=close)
    narrow = BYTES_PER_ELEMENT[dtype] < 2
    changed = ("weights", "compute") if narrow else tuple(Dtypes.model_fields)
    return model.model_copy(update={"dtypes": model.dtypes.model_copy(update=dict.fromkeys(changed, dtype))})
