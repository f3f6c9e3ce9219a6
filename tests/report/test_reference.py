from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field

from simulator.config.section import meanings
from simulator.report import reference as module
from simulator.report.reference import CHAPTERS, Chapter, reference
from simulator.report.type_text import field_type, forms
from simulator.units import Bytes

PAGE = Path(__file__).parents[2] / "docs" / "yaml.md"


def parts(form: type[BaseModel]) -> set[type[BaseModel]]:
    """A form and all that are inside it."""
    inner = {each for field in form.model_fields.values() for _, each in forms(field_type(field))}
    return {form}.union(*map(parts, inner))


def test_the_page_is_what_the_command_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "tiersim schema --reference docs/yaml.md"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.title)
def test_every_key_has_one_line(chapter: Chapter) -> None:
    lines = {(form, key): meanings(form).get(key) for form in parts(chapter.form) for key in form.model_fields}
    assert [where for where, line in lines.items() if not re.fullmatch(r".{2,130}[.:)]", line or "")] == []


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
