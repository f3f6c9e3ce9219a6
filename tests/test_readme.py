"""What the README shows is what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from simulator.cli.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_equation_that_it_quotes_is_printed() -> None:
    (quoted,) = re.findall(r"```text\n(.*?)\n```", README, re.DOTALL)
    (command,) = re.findall(r"\$ tiersim (estimate .*llama-2-7b.*)", README)
    told = CliRunner().invoke(app, [*command.split(), "--explain"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    assert " ".join(quoted.split()) in " ".join(told.stdout.split())


def test_the_files_that_it_links_exist() -> None:
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("reports/**/*.md"),
        *ROOT.glob("experiments/**/*.md"),
    ):
        for link in re.findall(r"\]\(<?([^)>#]+)>?(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page}: {link}"
