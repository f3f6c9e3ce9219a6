"""What holds where nothing is written may be written down: of every form, every kind of sweep and every command."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
import typer.core
import typer.main
import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

import simulator
from simulator.cli.app import app
from simulator.config.path import checked, figure, get
from simulator.data import folder
from simulator.hardware import load_system
from simulator.hardware.machine import Engine, Tier
from simulator.registry import names, registered
from simulator.scenario.form import Scenario

for module in pkgutil.walk_packages(simulator.__path__, "simulator."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)


def subclasses(form: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in form.__subclasses__():
        yield each
        yield from subclasses(each)


FORMS = sorted(
    {f for f in subclasses(BaseModel) if f.__module__.startswith("simulator.")},
    key=lambda f: (f.__module__, f.__qualname__),
)
DERIVED = {(Engine, "peak"), (Tier, "capacity"), (Tier, "bandwidth")}
"""What a machine has in any case: where it is left out it follows from other figures, and no default holds."""


def checked_as(field: FieldInfo, default: Any) -> Any:
    """A default, checked where the form checks it."""
    return TypeAdapter(field.rebuild_annotation()).validate_python(default) if field.validate_default else default


DEFAULTS = [
    pytest.param(
        field.rebuild_annotation(), checked_as(field, default), id=f"{form.__module__}.{form.__qualname__}.{name}"
    )
    for form in FORMS
    for name, field in form.model_fields.items()
    if (default := field.get_default(call_default_factory=True, validated_data={})) is not PydanticUndefined
    and (form, name) not in DERIVED
]


def written(value: Any) -> Any:
    """As a YAML file gives it back."""
    return yaml.safe_load(yaml.safe_dump(to_jsonable_python(value, by_alias=True)))


def test_forms_are_walked() -> None:
    assert len(FORMS) > 60
    assert len(DEFAULTS) > 150
    assert len(OPTIONS) > 15


@pytest.mark.parametrize("name", [file.stem for file in folder("hwconfigs").glob("*.yaml")])
def test_no_machine_keeps_a_default_of_what_is_derived(name: str) -> None:
    for device in load_system(name).machine.devices.values():
        assert all(tier.capacity > 0 and tier.bandwidth > 0 for tier in device.tiers.values())
        assert all(engine.peak for engine in device.engines.values())


@pytest.mark.parametrize(("types", "default"), DEFAULTS)
def test_a_default_of_a_form_can_be_written(types: Any, default: Any) -> None:
    assert TypeAdapter(types).validate_python(written(default)) == default


@pytest.mark.parametrize("kind", names("evaluator"))
def test_a_default_of_a_kind_of_workload_can_be_written(kind: str) -> None:
    """In a scenario, and as the value of an axis."""
    whole = checked(Scenario, {"workload": {"kind": kind}})
    paths = [f"workload.{key}" for key in type(whole.workload).model_fields]
    paths += [f"mapping.{key}" for key in registered("evaluator", kind).mapping]
    for path in paths:
        default = get(whole, path)
        assert checked(Scenario, nested(whole, path, written(default))) == whole, path
        if not isinstance(default, dict | list | tuple | BaseModel):
            assert figure(whole, path).read(written(default)) == default, path


def nested(scenario: Scenario, path: str, value: Any) -> dict[str, Any]:
    """The YAML of a scenario with a value at a path of two keys."""
    root, key = path.split(".")
    data = scenario.written()
    return {**data, root: {**data.get(root, {}), key: value}}


GROUP: Any = typer.main.get_command(app)
CONTEXT = GROUP.context_class(GROUP)
OPTIONS = [
    pytest.param(command, option, id=f"{name} {option.opts[0]}")
    for name, command in ((name, GROUP.get_command(CONTEXT, name)) for name in GROUP.commands)
    for option in command.params
    if option.param_type_name == "option" and not option.is_flag and option.default not in (None, ())
]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_a_default_of_an_option_can_be_written(command: Any, option: Any) -> None:
    """As text, as the command line gives it, it is read as what holds without the option."""
    context = GROUP.context_class(command, info_name=command.name)
    default = option.get_default(context)
    many = option.multiple or option.nargs != 1
    texts = [str(each) for each in default] if many else str(default)
    assert option.process_value(context, texts) == option.process_value(context, default)
