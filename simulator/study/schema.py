"""JSON Schemas of the YAML that this program reads, so that an editor completes its keys and marks what is wrong.

They describe a file as it is written: a figure may carry its source, a mapping speak for all inside it, and a file that
extends another may leave any key out, or take it away with null. So no key is required; the loader tells what lacks.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from simulator.config import ROLES
from simulator.config.choose import OF_KIND
from simulator.config.resolve import PART, SCHEMA
from simulator.errors import unknown
from simulator.hardware.cost_form import CostTable
from simulator.hardware.machine import Machine
from simulator.hardware.part import Part
from simulator.mapping.gpu.calibration import Calibration
from simulator.mapping.runtime.form import Runtime
from simulator.registry import names, registered
from simulator.study.form import StudyForm
from simulator.workload import Model
from simulator.workload.eager import Family
from simulator.workload.requests.form import RequestsForm
from simulator.workload.routing.measured import MeasuredRouting

DIALECT = "https://json-schema.org/draft/2020-12/schema"

FORMS: dict[str, type[BaseModel]] = {
    "study": StudyForm,
    "hardware": Machine,
    "part": Part,
    "costs": CostTable,
    "runtime": Runtime,
    "model": Model,
    "routing": MeasuredRouting,
    "eager": Family,
    "calibration": Calibration,
    "requests": RequestsForm,
}

_ABOUT: dict[str, Any] = {"source": {"type": "string"}, "role": {"enum": list(ROLES)}, "note": {"type": "string"}}
_SOURCED = {key: {"$ref": f"#/$defs/{key}"} for key in _ABOUT}
_BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def json_schema(kind: str) -> dict[str, Any]:
    """The schema of a kind of YAML, as plain data.

    Raises:
        ConfigError: no such kind.
    """
    if kind not in FORMS:
        raise unknown(kind, FORMS, "no such kind of YAML", found=kind)
    schema = _written(FORMS[kind].model_json_schema())
    for of in sorted(_of_kinds(schema)):
        for name in names(of):
            own = _written(registered(of, name).form.model_json_schema())
            schema["$defs"] |= {**own.pop("$defs", {}), f"{of}.{name}": own}
    if FORMS[kind] in (Machine, Part):
        _allow_parts(schema)
    own = {"schema": {"type": "integer", "minimum": 1, "maximum": SCHEMA}, "extends": {"type": "string"}}
    return {
        "$schema": DIALECT,
        "title": f"tiersim {kind}",
        **schema,
        "properties": own | schema["properties"],
        "$defs": _ABOUT | schema.get("$defs", {}),
    }


def _written(schema: dict[str, Any]) -> dict[str, Any]:
    """Pydantic's schema of checked data as that of a file."""
    document: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$defs":
            document[key] = {name: _written(inner) for name, inner in value.items()}
        elif key == "properties":
            document[key] = {name: _figure(_written(inner)) for name, inner in value.items()} | _SOURCED
        elif key == "additionalProperties" and isinstance(value, dict):
            document[key] = _figure(_written(value))
            document["properties"] = document.get("properties", {}) | _SOURCED
        elif key == "propertyNames":
            document[key] = {"anyOf": [_written(value), {"enum": list(_ABOUT)}]}
        elif key in ("anyOf", "oneOf", "prefixItems"):
            document["anyOf" if key == "oneOf" else key] = [_written(inner) for inner in value]
        elif key == "items" and isinstance(value, dict):
            document[key] = _written(value)
        elif key == OF_KIND:
            document["anyOf"] = [{"$ref": f"#/$defs/{value}.{name}"} for name in names(value)]
        elif key not in ("title", "required", "discriminator"):
            document[_BOUNDS.get(key, key)] = value
    return document


def _allow_parts(schema: Any) -> None:
    """Let each mapping name the part on which it is laid."""
    if isinstance(schema, dict):
        if "source" in schema.get("properties", {}) and "value" not in schema["properties"]:
            schema["properties"][PART] = {"type": "string"}
        for inner in schema.values():
            _allow_parts(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _allow_parts(inner)


def _of_kinds(schema: Any) -> set[str]:
    """The kinds whose forms a schema refers to."""
    if isinstance(schema, dict):
        ref = str(schema.get("$ref", "")).removeprefix("#/$defs/").partition(".")
        return ({ref[0]} if ref[1] else set()).union(*map(_of_kinds, schema.values()))
    return set().union(*map(_of_kinds, schema)) if isinstance(schema, list) else set()


def _figure(schema: dict[str, Any]) -> dict[str, Any]:
    """What a key may hold: the value, null, and a figure: the value with its source, unless it is a section."""
    about = {key: schema.pop(key, None) for key in ("description", "default")}
    kept = {key: value for key, value in about.items() if value is not None}
    choices = [each for each in schema.get("anyOf", [schema]) if each != {"type": "null"}]
    if all("$ref" in each or each.get("type") == "object" for each in choices):
        return {"anyOf": [*choices, {"type": "null"}], **kept}
    value = choices[0] if len(choices) == 1 else {"anyOf": choices}
    sourced = {"type": "object", "required": ["value"], "additionalProperties": False}
    return {
        "anyOf": [*choices, {"type": "null"}, {**sourced, "properties": {"value": value, **_SOURCED}}],
        **kept,
    }
