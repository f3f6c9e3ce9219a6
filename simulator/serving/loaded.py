"""A machine and a model as they are asked for: by name or loaded already, with overrides and other formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from simulator.config.choose import check_name
from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.workload import Model, load_model
from simulator.workload.dtypes import BYTES_PER_ELEMENT, Dtype
from simulator.workload.formats import COMPUTING, KV, computing


def loaded(
    hardware: System | str | Path,
    model: Model | str | Path,
    devices: int | None,
    dtype: str | None,
    overrides: Sequence[str],
    kv: str | None = None,
) -> tuple[System, Model]:
    """The machine with so many devices, and the model in other formats, each by name unless it is loaded already.

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
    return with_only(system, devices), in_formats(model, dtype, kv)


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


def in_formats(model: Model, dtype: str | None, kv: str | None = None) -> Model:
    """A model with weights and KV cache in other formats, or as they are (None).

    A number format of 16 bits or more is that of everything. Any other format is of weights, and says what products
    with them compute in (`workload/formats.py`); activations, and the KV cache unless `kv` says, stay as they are.

    Raises:
        ConfigError: no such format, or one that does not say what computes.
    """
    changes: dict[str, Any] = {}
    if dtype is not None:
        try:
            changes |= {"weights": computing(dtype), "compute": None, "group": None, "wide": None}
        except ValueError as error:
            raise ConfigError(str(error), path="dtype") from None
        check_name(dtype, COMPUTING, "dtype")
        if BYTES_PER_ELEMENT.get(cast("Dtype", dtype), 0) >= 2:
            changes |= {"activations": dtype, "kv": dtype}
    if kv is not None:
        check_name(kv, KV, "kv")
        changes["kv"] = kv
    if not changes:
        return model
    scales = {} if dtype is None else {"weight_scales": 0.0}
    return model.model_copy(update={"dtypes": model.dtypes.model_copy(update=changes), **scales})


def check_context(model: Model, tokens: float, what: str = "input + output", found: str | None = None) -> None:
    """Nothing where a model was made for contexts of so many tokens; `found` is how they were asked for.

    Raises:
        ConfigError: it was not.
    """
    if tokens > model.max_context:
        expected = f"at most the {model.max_context} that {model.name} was made for"
        raise ConfigError(what, found=f"{found or f'{tokens:g}'} tokens", expected=expected)
