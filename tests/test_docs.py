"""What the documentation shows runs, and prints what it shows."""

from __future__ import annotations

import pkgutil
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import simulator
from simulator.cli.app import app

DOCS = Path(__file__).parent.parent / "docs"
SLOW = {"A published system", "Figures of designs"}


def sections(page: str) -> dict[str, str]:
    """The text under each heading of a page."""
    parts = re.split(r"^##+ (.+)$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The blocks of code in a text, each with its language."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("file", sorted((DOCS / "scenarios").iterdir()), ids=lambda file: file.stem)
def test_each_scenario_of_the_reference_can_be_evaluated(file: Path) -> None:
    metrics = simulator.evaluate(file).metrics
    assert any(isinstance(value, float) and value > 0 for value in metrics.values())


SECTIONS = [
    pytest.param(text, id=title, marks=[pytest.mark.slow] if title in SLOW else [])
    for page in ("tutorial.md", "python.md", "traces.md", "placement.md")
    for title, text in sections(page).items()
    if {"console", "python"} & {language for language, _ in blocks(text)}
]


@pytest.mark.parametrize("text", SECTIONS)
def test_a_section_runs(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, code in blocks(text):
        if language == "yaml":
            file = Path(code.splitlines()[0].removeprefix("# "))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code, encoding="utf-8")
        elif language == "python":
            exec(compile(code, "docs", "exec"), {})
        else:
            for command, shown in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", code, flags=re.MULTILINE):
                told = CliRunner().invoke(app, shlex.split(command.replace("\\\n", " "))[1:], env={"COLUMNS": "200"})
                assert told.exit_code == 0, f"{command}: {told.stderr}"
                assert words(shown) in words(told.stdout), command


def words(text: str) -> str:
    """A text without its lines and widths."""
    return " ".join(text.replace("─", " ").split())


FIRST, *OTHERS = (
    code
    for title, text in sections("studies.md").items()
    if title.startswith(("Studies", "`"))
    for _, code in blocks(text)
)


@pytest.mark.parametrize("code", [FIRST, *OTHERS])
def test_the_keys_of_a_study_are_as_described(code: str, tmp_path: Path) -> None:
    """Each example in place of what the first one has there."""
    whole = yaml.safe_load(FIRST)
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({"base": whole["base"], "axes": whole["axes"], **yaml.safe_load(code)}))
    told = CliRunner().invoke(app, ["check", str(file)])
    assert told.exit_code == 0, told.stderr


def test_every_schema_is_linked() -> None:
    linked = re.findall(r"\(schemas/(\w+)\.json\)", (DOCS / "files.md").read_text(encoding="utf-8"))
    assert sorted(linked) == sorted(file.stem for file in (DOCS / "schemas").iterdir())


def slugs(text: str) -> list[str]:
    """The anchors of the headings of a page, as MkDocs and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_every_anchor_is_one_heading(page: Path) -> None:
    for name, anchor in re.findall(r"\]\((\w*(?:\.md)?)#([^)]+)\)", page.read_text(encoding="utf-8")):
        there = slugs((page.parent / name if name else page).read_text(encoding="utf-8"))
        assert there.count(anchor) == 1, f"{name}#{anchor}"


SHOWN = re.findall(
    r"^::: (\S+)", "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")), re.MULTILINE
)


@pytest.mark.parametrize("name", SHOWN)
def test_every_name_that_a_page_shows_is_there(name: str) -> None:
    assert pkgutil.resolve_name(name).__doc__


def test_python_shows_every_public_function() -> None:
    shown = [pkgutil.resolve_name(name) for name in SHOWN]
    assert [name for name in simulator.__all__ if getattr(simulator, name) not in shown] == []


RULES = re.findall(r"`(\w+/\w+\.py): (\w+)`", (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "name"), RULES)
def test_every_rule_lives_where_it_is_said_to(file: str, name: str) -> None:
    assert hasattr(import_module("simulator." + file.removesuffix(".py").replace("/", ".")), name)


FOLDERS = re.findall(r"`(simulator/[\w/]*)`", (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_room_is_there(folder: str) -> None:
    assert (DOCS.parent / folder).exists()


def test_every_page_is_in_the_navigation() -> None:
    nav = yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(file for entry in nav for file in entry.values()) == sorted(page.name for page in DOCS.glob("*.md"))
