"""The index of a folder of reports, made from what lies in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.errors import ConfigError
from simulator.escape import html, link, markdown
from simulator.files import UNREADABLE, read_text, reason, replacement
from simulator.report.page import PROVENANCE, paper
from simulator.report.verdict import verdict


def write_index(output: Path) -> None:
    """Write `output/index.md`: title, paper, verdict and first figure of each report in `output`.

    Raises:
        ConfigError: the provenance of a report is not what `write_page` writes.
    """
    reports = sorted(file.parent for file in output.glob(f"*/{PROVENANCE}"))
    parts = ["# Reports", "What was published, and what tiersim gives for it.", *(_entry(report) for report in reports)]
    output.mkdir(parents=True, exist_ok=True)
    with replacement(output / "index.md") as unfinished:
        unfinished.write_text("\n\n".join(parts) + "\n", encoding="utf-8", newline="\n")


def _entry(report: Path) -> str:
    return "\n\n".join(_parts(report.name, _provenance(report / PROVENANCE), _rows(report / "rows.csv")))


def _parts(name: str, provenance: dict[str, Any], rows: list[dict[Any, Any]]) -> Iterator[str]:
    config = provenance["config"]["experiment"]
    page = link(f"{name}/index.md")
    yield f"## [{markdown(str(config['title']))}](<{page}>)"
    first, *_ = verdict(rows)
    yield f"{paper(str(config['paper']))}. {first}" if config.get("paper") else first
    for figure in provenance["figures"][:1]:
        image = link(f"{name}/{figure}.svg")
        yield f'<a href="{html(page)}"><img src="{html(image)}" alt="{html(figure)}" width="640"></a>'


def _provenance(file: Path) -> dict[str, Any]:
    expected = "the provenance of a report; `tiersim reproduce` writes it"
    try:
        document = json.loads(read_text(file))
        complete = "title" in document["config"]["experiment"] and isinstance(document["figures"], list)
    except (ValueError, TypeError, KeyError):
        complete = False
    if not complete:
        raise ConfigError(file=file, found="something else", expected=expected)
    provenance: dict[str, Any] = document
    return provenance


def _rows(file: Path) -> list[dict[Any, Any]]:
    import pandas as pd

    if not file.is_file():
        raise ConfigError("a report without its rows", file=file)
    try:
        return pd.read_csv(file, dtype={"figure": str, "condition": str}).to_dict("records")
    except UNREADABLE as error:
        raise ConfigError(f"cannot be read: {reason(error)}", file=file) from None
