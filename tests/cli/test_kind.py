from __future__ import annotations

import pytest

from simulator import data
from simulator.cli.kind import FOLDERS, kind_of
from simulator.errors import ConfigError


@pytest.mark.parametrize("kind", FOLDERS)
def test_what_we_ship_is_known_by_name_and_by_path(kind) -> None:
    for name in data.names(FOLDERS[kind]):
        assert kind_of(name) == kind
        assert kind_of(str(data.find(name, FOLDERS[kind]))) == kind


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("mine.yaml", "name: mine\ndevices: {}", "machine"),
        ("mine.yaml", "name: mine\ndevises: {}\ntiers: {}", "machine"),
        ("mine.yaml", "name: mine\nlayers: 3", "model"),
        ("mine.yaml", "kind: serving", "study"),
        ("mine.yaml", "extends: sn40l", "machine"),
        ("mine.yaml", "extends: sn40", "machine"),
        ("mine.yaml", "extends: llama-2-7b\nname: mine", "model"),
        ("mine/experiment.yaml", "kind: serving", "study"),
        ("mine/experiment.yaml", "", "study"),
        ("mine.yaml", "title: mine\nbase: {}\naxes: {}", "study"),
        ("mine.yaml", "wafer: {}\ntiers: {}", "cost table"),
        ("mine.yaml", "extends: silicon\nname: mine", "cost table"),
        ("mine.yaml", "extends: silicon\ntiers: {hbm: hbm2e}", "cost table"),
        ("mine.yaml", "extends: sn40l\ntiers: {host: {}}", "machine"),
        ("silicon.yaml", "extends: silicon\ntiers: {hbm: hbm2e}", "cost table"),
        ("mine.yaml", "experts: 2\ntop_k: 1\nlayers: []", "routing"),
        ("mine.yaml", "family: mine\noperators: {}", "eager"),
        ("config.json", "{", "model"),
        ("mine.csv", "prompt,expert\n", "trace"),
        ("mine.csv", "prompt,expet\n", "trace"),
        ("mine.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "requests"),
        ("mine.csv", "", "requests"),
        ("mine.jsonl", "{", "requests"),
        ("mine.parquet", "PAR1", "requests"),
        ("talk.json", "\n[{", "requests"),
        ("mine.yaml", "requests: 3\narrivals: {kind: poisson, rate: 2}", "requests"),
        ("published.csv", "", "published values"),
    ],
)
def test_a_file_is_known_by_its_suffix_and_its_keys(write, name: str, text: str, kind: str) -> None:
    assert kind_of(str(write(name, text))) == kind


def test_what_extends_a_neighbour_is_what_that_is(write) -> None:
    write("base.yaml", "layers: 3")
    write("middle.yaml", "extends: base.yaml")
    assert kind_of(str(write("mine.yaml", "extends: middle"))) == "model"


def test_a_folder_with_a_config_json_is_a_model(write) -> None:
    assert kind_of(str(write("mine/config.json", "{}").parent)) == "model"


@pytest.mark.parametrize("text", ["", "words", "- 1", "foo: 1\nname: x"])
def test_anything_else_is_refused(write, text: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*expected a machine"):
        kind_of(str(write("mine.yaml", text)))
