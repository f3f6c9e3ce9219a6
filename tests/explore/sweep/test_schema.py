import json
import re
from functools import cache

import pytest
import yaml

import simulator.baselines  # noqa: F401  # registers the kinds of experiments
from simulator import data
from simulator.config import load
from simulator.errors import ConfigError
from simulator.explore.sweep.schema import DIALECT, json_schema, kinds

FOLDERS = {"hwconfigs": "hardware", "workloads/models": "model", "experiments": None}
FILES = [(folder, name) for folder in FOLDERS for name in data.names(folder)]
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": int | float,
    "integer": int,
}


def fits(schema, value, root):
    """Whether a value is as the schema says: the part of JSON Schema that ours are written in."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        return fits(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root)
    if "anyOf" in schema and not any(fits(each, value, root) for each in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    kind = schema.get("type")
    if kind and not (isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))):
        return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    if isinstance(value, dict):
        inner, other = schema.get("properties", {}), schema.get("additionalProperties", {})
        known = set(schema.get("required", ())) <= value.keys()
        return known and all(
            other is not False and fits(other, each, root) if key not in inner else fits(inner[key], each, root)
            for key, each in value.items()
        )
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        items = [*first, *[schema.get("items", {})] * (len(value) - len(first))]
        return all(fits(each, item, root) for each, item in zip(items, value, strict=False))
    if isinstance(value, int | float):
        most, least = schema.get("maximum", value), schema.get("minimum", value)
        return least <= value <= most and value > schema.get("exclusiveMinimum", value - 1)
    return True


def check(kind, value):
    """By the whole standard where its package is installed, and by the part above everywhere."""
    schema, validator = schema_of(kind)
    found = fits(schema, value, schema)
    if validator is not None:
        assert validator.is_valid(value) == found
    return found


@cache
def schema_of(kind):
    schema = json_schema(kind)
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        return schema, None
    Draft202012Validator.check_schema(schema)
    return schema, Draft202012Validator(schema)


@pytest.mark.parametrize(("folder", "name"), FILES, ids=[name for _, name in FILES])
def test_every_file_of_ours_is_as_its_schema_says(folder, name):
    config = load(name, folder)
    kind = FOLDERS[folder] or config.data.get("kind")
    assert check(kind, config.data)
    assert check(kind, yaml.safe_load(config.file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("kind", kinds())
def test_a_schema_is_plain_data_with_its_dialect_and_title(kind):
    schema = json_schema(kind)
    assert json.loads(json.dumps(schema)) == schema
    assert (schema["$schema"], schema["title"]) == (DIALECT, f"tiersim {kind}")
    assert schema["additionalProperties"] is False
    assert {"schema", "extends"} <= schema["properties"].keys()


def machine(**tier):
    return {"devices": {"gpu": {"tiers": {"hbm": {"kind": "hbm", **tier}}}}}


@pytest.mark.parametrize(
    "good",
    [
        machine(bandwidth="1.8 TB/s"),
        machine(bandwidth=1.8e12),
        machine(bandwidth={"value": "1.8 TB/s", "source": "a data sheet", "role": "input"}),
        machine(bandwidth=None),
        machine(efficiency={"sizes": ["6 MB"], "fractions": [0.5], "source": "measured", "role": "calibration"}),
        {"schema": 1, "extends": "dgx-h100", "note": "faster", "devices": {"gpu": {"count": {"value": 4}}}},
    ],
)
def test_a_figure_is_a_number_or_a_text_and_may_have_a_source(good):
    assert check("hardware", good)


@pytest.mark.parametrize(
    "bad",
    [
        machine(bandwith="1.8 TB/s"),
        machine(bandwidth="fast"),
        machine(bandwidth=-1.0),
        machine(bandwidth=True),
        machine(bandwidth={"value": "1.8 TB/s", "sauce": "a data sheet"}),
        machine(bandwidth={"value": "1.8 TB/s", "role": "guess"}),
        machine(kind="hbn"),
        machine(stacks=0),
        {"schema": 2},
    ],
)
def test_what_is_wrong_is_marked(bad):
    assert not check("hardware", bad)


def test_a_sweep_is_described_too():
    steps = {"geomspace": ["1 TB/s", "8 TB/s", 16], "name": "hbm", "when": "model == 'a'"}
    sweep = {
        "base": {"hardware": "dgx-h100", "workload": {"phase": "decode", "batch": 8}, "set": ["nodes=2"]},
        "axes": {"hardware.devices.gpu.tiers.hbm.bandwidth": steps, "workload.batch": [1, 8], "model": ["a", "b"]},
        "zip": [{"mapping.devices": [1, 2], "mapping.links": [None, 2]}],
        "derived": {"twice": "2 * hbm"},
        "constraints": ["twice < 3"],
        "objectives": {"twice": "min"},
    }
    assert check("sweep", sweep)
    assert not check("sweep", {**sweep, "objectives": {"twice": "least"}})
    assert not check("sweep", {**sweep, "base": {"workload": {"bacth": 1}}})


def test_a_kind_that_there_is_not_is_told():
    with pytest.raises(ConfigError, match=r"no such kind of YAML: found hardwar, expected one of sweep, .*'hardware'"):
        json_schema("hardwar")
