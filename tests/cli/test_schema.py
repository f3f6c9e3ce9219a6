from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.registry import names, registered
from simulator.report.reference import reference
from simulator.study import schema
from simulator.study.schema import FORMS, json_schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"


def test_without_a_kind_it_lists_them(run) -> None:
    assert run("schema").out.split() == list(FORMS)


def test_a_kind_is_printed_as_json(run) -> None:
    assert run("schema", "costs").json == json_schema("costs")


def test_all_are_written_into_a_folder(run, tmp_path) -> None:
    told = run("schema", "--output", tmp_path / "new")
    assert [Path(line).name for line in told.out.split()] == [f"{kind}.json" for kind in FORMS]
    assert json.loads((tmp_path / "new" / "study.json").read_text()) == json_schema("study")
    assert run("schema", "study").out == (tmp_path / "new" / "study.json").read_text()


def test_one_is_written_into_a_folder(run, tmp_path) -> None:
    run("schema", "model", "--output", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.json"]


def test_the_page_of_all_keys_is_written(run, tmp_path) -> None:
    assert run("schema", "--reference", tmp_path / "keys.md").out.strip().endswith("keys.md")
    assert (tmp_path / "keys.md").read_text(encoding="utf-8") == reference()


def test_a_kind_that_there_is_not_is_told(run) -> None:
    told = run("schema", "studies")
    assert (told.code, told.out) == (2, "")
    assert "did you mean 'study'?" in told.err


def test_those_that_are_published_are_all_that_there_are() -> None:
    assert sorted(file.stem for file in PUBLISHED.iterdir()) == sorted(FORMS)


@pytest.fixture
def ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this package registers, whatever other tests did."""

    def ours(kind: str) -> list[str]:
        return [name for name in names(kind) if registered(kind, name).__module__.startswith("simulator.")]

    monkeypatch.setattr(schema, "names", ours)


@pytest.mark.usefixtures("ours_alone")
@pytest.mark.parametrize("kind", FORMS)
def test_those_that_are_published_are_those_of_this_code(kind) -> None:
    again = "tiersim schema --output docs/schemas"
    assert json.loads((PUBLISHED / f"{kind}.json").read_text(encoding="utf-8")) == json_schema(kind), again
