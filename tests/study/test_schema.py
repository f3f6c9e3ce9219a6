import json
from functools import cache

import pytest
import yaml
from jsonschema import Draft202012Validator

from simulator import data
from simulator.config import load
from simulator.errors import ConfigError
from simulator.study.schema import DIALECT, FORMS, json_schema

FOLDERS = {
    "hwconfigs": "hardware",
    "hwconfigs/parts": "part",
    "hwconfigs/costs": "costs",
    "hwconfigs/runtimes": "runtime",
    "hwconfigs/calibrations": "calibration",
    "workloads/models": "model",
    "workloads/routing": "routing",
    "workloads/eager": "eager",
    "experiments": "study",
}
FILES = [(folder, name) for folder in FOLDERS for name in data.names(folder)]


def check(kind, value):
    return validator(kind).is_valid(value)


@cache
def validator(kind):
    schema = json_schema(kind)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize(("folder", "name"), FILES, ids=[name for _, name in FILES])
def test_every_file_of_ours_is_as_its_schema_says(folder, name):
    config = load(name, folder)
    kind = FOLDERS[folder]
    for value in (config.data, yaml.safe_load(config.file.read_text(encoding="utf-8"))):
        assert list(validator(kind).iter_errors(value)) == []


def test_every_yaml_of_ours_has_a_kind():
    known = {data.find(name, folder) for folder, name in FILES}
    found = {file for top in ("hwconfigs", "workloads", "experiments") for file in data.folder(top).rglob("*.yaml")}
    assert found <= known


@pytest.mark.parametrize("kind", FORMS)
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
        machine(kind=1),
        machine(stacks=0),
        {"schema": 2},
    ],
)
def test_what_is_wrong_is_marked(bad):
    assert not check("hardware", bad)


def test_a_study_is_described_too():
    steps = {"geomspace": ["1 TB/s", "8 TB/s", 16], "name": "hbm", "when": "model == 'a'"}
    study = {
        "base": {"hardware": {"extends": "dgx-h100", "nodes": 2}, "workload": {"phase": "decode", "batch": 8}},
        "cases": {"system": {"one": {"mapping": {"devices": 1}, "label": "One"}}},
        "runs": {"first": {"cases": {"system": ["one"]}, "workload": {"kind": "requests", "rate": 2}}},
        "charts": {"map": {"kind": "heat", "x": "hbm", "y": "batch", "of": "tbt_s", "where": {"model": "a"}}},
        "axes": {"hardware.devices.gpu.tiers.hbm.bandwidth": steps, "workload.batch": [1, 8], "model": ["a", "b"]},
        "zip": [{"mapping.devices": [1, 2], "mapping.residency.links": [None, 2]}],
        "derived": {"twice": "2 * hbm"},
        "constraints": ["twice < 3"],
        "objectives": {"twice": "min"},
    }
    assert check("study", study)
    assert not check("study", {**study, "objectives": {"twice": "least"}})
    assert not check("study", {**study, "base": {"workload": {"bacth": 1}}})
    assert not check("study", {**study, "base": {"mapping": {"device": 1}}})
    assert not check("study", {**study, "charts": {"map": {"kind": "heat", "x": "hbm", "z": "batch"}}})


def test_a_cost_table_is_described_too():
    assert check("costs", {"extends": "silicon", "technologies": {"hbm3": {"price": "16 USD/GB", "footprint": None}}})
    assert check("costs", {"compute": {"gpu": {"arrays": {"bf16": "1 TFLOP/s/mm^2", "source": "a die"}}}})
    assert not check("costs", {"technologies": {"hbm3": {"prize": "16 USD/GB"}}})
    assert not check("costs", {"compute": {"gpu": {"arrays": {"bf16": 0}}}})


def test_a_kind_that_there_is_not_is_told():
    with pytest.raises(ConfigError, match=r"no such kind of YAML: found hardwar, expected one of study, .*'hardware'"):
        json_schema("hardwar")


def test_a_key_has_its_line():
    keys = json_schema("hardware")["$defs"]["Tier"]["properties"]
    assert keys["reserved"]["description"].endswith("no weights and KV caches lie there.")
    assert keys["stack"]["description"].startswith("What one stack of DRAM is like")
