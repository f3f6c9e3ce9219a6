"""The page of a reproduction: its figures, its tables, and what they were made from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError
from simulator.escape import code, file_name, link, markdown, prose
from simulator.report import names, style, table
from simulator.report.figures import Drawn
from simulator.report.shown import drawn as charts_of
from simulator.report.verdict import verdict
from simulator.validation.reproduction import Reproduction

if TYPE_CHECKING:
    import pandas as pd

PROVENANCE = "provenance.json"
FORMATS = ("svg", "png")


def write_page(reproduction: Reproduction, output: Path) -> None:
    """Write `output/<name>/`: `index.md`, the figures as SVG and PNG, a CSV a table, and `provenance.json`.

    All is written beside it first and put in its place at the end: on an error, what was there stays. The same
    reproduction gives the same bytes.

    Raises:
        ConfigError: `output`, or what is in the page's place, is something else.
    """
    target = output / reproduction.name
    if output.exists() and not output.is_dir():
        raise ConfigError(file=output, found="a file", expected="a folder to write to")
    if target.exists() and not _ours(target):
        raise ConfigError(
            file=target, found="something that is no report", expected=f"nothing, or a folder with {PROVENANCE}"
        )
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=output, prefix=f".{reproduction.name}-") as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        _write(reproduction, fresh)
        if target.exists():
            target.rename(Path(scratch) / "old")
        fresh.rename(target)


def _ours(target: Path) -> bool:
    return target.is_dir() and ((target / PROVENANCE).is_file() or not any(target.iterdir()))


def _write(reproduction: Reproduction, folder: Path) -> None:
    frames = reproduction.frames()
    for name, frame in frames.items():
        frame.to_csv(folder / f"{file_name(name)}.csv", index=False, float_format="%.6g", lineterminator="\n")
    drawn: list[Drawn] = []
    with style.publication():
        for each in charts_of(reproduction):
            drawn.append(each)
            for form in FORMATS:
                style.save(each.figure, folder / f"{file_name(each.name)}.{form}")
    provenance = {
        **reproduction.provenance.as_dict(),
        "figures": [file_name(each.name) for each in drawn],
        "tables": [file_name(name) for name in frames],
        "config": reproduction.provenance.config,
    }
    _text(folder / PROVENANCE, json.dumps(provenance, indent=1, ensure_ascii=False))
    _text(folder / "index.md", "\n\n".join(_page(reproduction, frames, drawn)))


def _text(file: Path, text: str) -> None:
    file.write_text(text + "\n", encoding="utf-8", errors="backslashreplace", newline="\n")


def _page(reproduction: Reproduction, frames: dict[str, pd.DataFrame], drawn: Sequence[Drawn]) -> Iterator[str]:
    rows = frames["rows"].to_dict("records")
    yield f"# {markdown(reproduction.experiment.title)}"
    published = reproduction.experiment.paper
    kind = f"{paper(published)} against tiersim, experiment" if published else "Study"
    yield f"{kind} {code(reproduction.name)}."
    first, *more = verdict(rows)
    yield " ".join([f"**{first}**", *more])
    if reproduction.overrides:
        yield "Set otherwise than in the experiment: " + ", ".join(map(code, reproduction.overrides)) + "."
    for each in drawn:
        yield f"![{markdown(each.name)}]({link(file_name(each.name))}.svg)"
        yield f"*{prose(each.caption)}*"
    if rows:
        yield "## Published and simulated"
        yield (
            "Only rows with the role `prediction` count: the model was given what is `input` or `calibration`. "
            "`read to` is how exactly a value could be read from the paper. A run of rows that differ in one number "
            "alone is folded."
        )
    for figure in sorted({row.published.figure for row in reproduction.rows}, key=names.order):
        yield f"### {markdown(names.figure(figure))}"
        yield table.compared([row for row in reproduction.rows if row.published.figure == figure])
    yield from _disputed(reproduction)
    if reproduction.variants:
        yield from _variants(reproduction, rows)
    yield "## Made from"
    provenance = reproduction.provenance.as_dict()
    yield table.markdown(["config hash", "version", "seed"], [[f"`{value}`" for value in provenance.values()]])
    files = [*(f"{file_name(name)}.csv" for name in frames), PROVENANCE]
    links = ", ".join(f"[{markdown(file)}](<{link(file)}>)" for file in files)
    yield f"All values, in SI units but for the published ones, and the whole configuration: {links}."


def paper(text: str) -> str:
    """What a paper is called, in Markdown: an arXiv number is a link, other text is text."""
    return re.sub(r"arXiv (\d{4}\.\d{4,5}(?:v\d+)?)", r"[arXiv \1](https://arxiv.org/abs/\1)", markdown(text))


def _disputed(reproduction: Reproduction) -> Iterator[str]:
    """Where the paper contradicts itself, as the source of each value says."""
    disputed = [row.published for row in reproduction.rows if row.published.role == "disputed"]
    sources: dict[tuple[str, str, str], int] = {}
    for row in disputed:
        key = (names.figure(row.figure), row.metric, row.source)
        sources[key] = sources.get(key, 0) + 1
    if sources:
        yield "## Disputed"
        rows = [
            [markdown(figure), markdown(metric), str(count), markdown(source)]
            for (figure, metric, source), count in sources.items()
        ]
        yield table.markdown(["figure", "metric", "values", "source"], rows, ["values"])


def _variants(reproduction: Reproduction, rows: Sequence[dict[Any, Any]]) -> Iterator[str]:
    """What each variant sets, and what it makes of the values that it is computed for."""
    yield "## Under other settings"
    variants = {name: reproduction.experiment.variants[name] for name in reproduction.variants}
    yield "\n".join(
        f"- {code(name)}: {markdown(variant.title)} ({', '.join(map(code, variant.settings))})"
        for name, variant in variants.items()
    )
    cells = []
    for compared, row in sorted(
        zip(reproduction.rows, rows, strict=True), key=lambda pair: names.order(pair[1]["figure"])
    ):
        under = [name for name in variants if reproduction.is_under(name, compared)]
        if not under:
            continue
        published, simulated = (table.value(row[column], row["unit"]) for column in ("published", "simulated"))
        others = [
            table.value(row[f"simulated_{name}"], row["unit"]) if name in under else simulated for name in variants
        ]
        changed = ["" if other == simulated else other for other in others]
        called = (names.figure(row["figure"]), row["metric"], row["condition"])
        cells.append(list(map(markdown, (*called, published, simulated, *changed))))
    if cells:
        headings = ["figure", "metric", "condition", "published", "simulated", *map(markdown, variants)]
        yield "Empty where a setting changes nothing, or is not computed."
        yield table.markdown(headings, cells, headings[3:])
