from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from simulator.config.section import meanings
from simulator.mapping.form import MappingForm
from simulator.report import reference as module
from simulator.report.reference import CHAPTERS, Chapter, _examples, _is_tag, reference
from simulator.report.type_text import field_type, forms
from simulator.units import Bytes

PAGE = Path(__file__).parents[2] / "docs" / "yaml.md"


def parts(form: type[BaseModel]) -> set[type[BaseModel]]:
    """A form and all that are inside it."""
    inner = {each for field in form.model_fields.values() for _, each in forms(field_type(field))}
    return {form}.union(*map(parts, inner))


def test_the_page_is_what_the_command_makes(tmp_path: Path) -> None:
    made = tmp_path / "yaml.md"  # by a process in which no test has registered anything
    command = [sys.executable, "-m", "simulator", "schema", "--reference", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    assert PAGE.read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), (
        "tiersim schema --reference docs/yaml.md"
    )


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.title)
def test_every_key_has_one_line(chapter: Chapter) -> None:
    lines = {
        (form, key): meanings(form).get(key)
        for form in parts(chapter.form)
        for key, field in form.model_fields.items()
        if not _is_tag(field)
    }
    assert [where for where, line in lines.items() if not re.fullmatch(r"(?s).{2,490}[.:)]", line or "")] == []


SEEDS = {"DirichletRouter.seed", "TopicsRouter.seed"}
OF_A_RECORDING = {"Scheduler.home"}


def test_each_key_of_a_mapping_has_an_example() -> None:
    examples = _examples()
    lacking = {
        f"{form.__name__}.{key}"
        for form in parts(MappingForm)
        for key, field in form.model_fields.items()
        if (form, key) not in examples and plain(field)
    }
    assert lacking == SEEDS | OF_A_RECORDING


def plain(field: FieldInfo) -> bool:
    """Whether a key holds no section."""
    return not any(True for _ in forms(field_type(field)))


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: Bytes = 0.0
    """How large | it is."""
    count: int = 2
    """How many."""


class Whole(BaseModel):
    """A whole."""

    model_config = ConfigDict(extra="forbid")

    name: str
    """Its name."""
    parts: Annotated[dict[str, Part], Field(min_length=1)]
    """What it is made of."""
    first: Part | None = None
    """What comes first."""


@pytest.fixture
def files(tmp_path: Path) -> str:
    (tmp_path / "a.yaml").write_text("schema: 1\nname: a\nparts: {x: {count: 3}}\n")
    (tmp_path / "b.yaml").write_text("extends: a\nname: b\nparts: {y: {count: 4, size: {value: 1 MB, source: S}}}\n")
    return str(tmp_path)


def test_a_chapter_has_a_table_a_section(files: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHAPTERS", (Chapter("Wholes", Whole, files),))
    _, page = reference().split("## Wholes", 1)
    assert page.partition("\n")[2] == (
        "\n"
        "A whole.\n"
        "\n"
        "| key | holds | default | meaning | example |\n"
        "|---|---|---|---|---|\n"
        "| `name` | text | *required* | Its name. | `a` (a) |\n"
        "| `parts` | by name: [section](#partsname), 1 or more | *required* | What it is made of. |  |\n"
        "| `first` | [section](#partsname) |  | What comes first. |  |\n"
        "\n"
        "### `parts.NAME`\n"
        "\n"
        "The same at `first`.\n"
        "\n"
        "| key | holds | default | meaning | example |\n"
        "|---|---|---|---|---|\n"
        "| `size` | number in B > 0 | *derived* | How large \\| it is. | `1 MB` (b) |\n"
        "| `count` | whole number | `2` | How many. | `3` (a) |\n"
    )


def test_a_form_with_a_chapter_of_its_own_is_linked_and_has_its_examples(
    files: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHAPTERS", (Chapter("Wholes", Whole, files), Chapter("A part", Part)))
    text = reference()
    assert re.findall(r"^##+ .*", text, re.MULTILINE) == [f"## Wholes (`{files}/`)", "## A part"]
    assert "| `first` | [section](#a-part) |" in text
    assert text.endswith("| `count` | whole number | `2` | How many. | `3` (a) |\n")
