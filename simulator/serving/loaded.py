"""A machine and a model as they are asked for: by name or loaded already, with overrides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.workload import Model, load_model


def loaded(
    hardware: System | str | Path,
    model: Model | str | Path,
    overrides: Sequence[str],
) -> tuple[System, Model]:
    """The machine and the model, each by name unless it is loaded already.

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
    return system, model
