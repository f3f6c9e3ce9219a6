"""Names in files that are written: a figure is XML, a page has no HTML of theirs, a notebook neither."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from simulator.escape import one_line
from simulator.provenance import Provenance
from simulator.report import names, style, table
from simulator.report.index import write_index
from simulator.report.page import PROVENANCE
from simulator.result import Result
from simulator.validation.published import COLUMNS, Published
from simulator.validation.reproduction import Compared
from tests.test_escape import NAMES, Texts, is_control

FEW = settings(max_examples=20, deadline=None)


@pytest.mark.filterwarnings("ignore:.*(Glyph|glyph|does not have a glyph|surrogate|font)")
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])  # each takes a second
@given(st.lists(NAMES, min_size=4, max_size=4))
@example(["\x1b$\\frac$", "$\\frac$", "<a>", "--\x00"])
def test_a_figure_is_xml_whatever_its_texts(texts: list[str]) -> None:
    title, label, tick, key = texts
    with TemporaryDirectory() as folder, style.publication():
        figure = style.figure(style.COLUMN, 2)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], label=f"x{key}")
        axes.set(title=title, xlabel=label)
        axes.set_xticks([0, 1], [tick, "b"])
        axes.legend()
        for _ in range(2):  # once more, as a page does for another format
            style.save(figure, Path(folder) / "a.svg")
            ElementTree.parse(Path(folder) / "a.svg")  # it is ours


@FEW
@given(NAMES, NAMES, NAMES)
@example("<script>alert(1)</script>", "x", "<b>")
def test_an_index_has_no_html_of_a_title(title: str, paper: str, figure: str) -> None:
    with TemporaryDirectory() as scratch:
        output = Path(scratch)
        report = output / "one"
        report.mkdir()
        config = {"config": {"experiment": {"title": title, "paper": paper}}, "figures": [figure]}
        (report / PROVENANCE).write_text(json.dumps(config), encoding="utf-8")
        pd.DataFrame(columns=[*COLUMNS, "simulated", "ratio", "agrees"]).to_csv(report / "rows.csv", index=False)
        write_index(output)
        text = (output / "index.md").read_text(encoding="utf-8").replace("(<one/index.md>)", "")
    assert not any(map(is_control, text))
    assert [tag for tag, _ in Texts(text).tags] == ["a", "img"]
    assert Texts(text).tags[1][1][1] == ("alt", one_line(figure))


@FEW
@given(NAMES, NAMES, NAMES)
def test_a_table_has_its_cells_whatever_is_in_them(metric: str, value: str, unit: str) -> None:
    row = Published("1", metric, {"a": value}, "prediction", 1.0, unit, 0.0, "")
    heading, rule, line = table.compared([Compared(row, 1.0)]).split("\n")
    bars = [text.replace("\\\\", "").replace("\\|", "").count("|") for text in (heading, rule, line)]
    assert bars == [len(table.HEADINGS) + 1] * 3
    assert not Texts(line).tags


class Shown(Result):
    def __init__(self, frame: pd.DataFrame, name: str) -> None:
        self.frame, self.name, self.provenance = frame, name, Provenance({})

    def frames(self) -> dict[str, pd.DataFrame]:
        return {self.name: self.frame}


WHOLE = NAMES.map(lambda text: text.encode("utf-8", "replace").decode())
"""Without half surrogates, which pandas does not hold."""


@FEW
@given(WHOLE, WHOLE, WHOLE)
def test_a_notebook_and_a_terminal_show_the_names_of_a_result(name: str, column: str, cell: str) -> None:
    from io import StringIO

    from rich.console import Console

    shown = Shown(pd.DataFrame({column: [cell]}), name)
    html = shown._repr_html_()
    assert not any(map(is_control, html))
    assert {tag for tag, _ in Texts(html).tags} <= {"h4", "table", "thead", "tr", "th", "tbody", "td"}
    out = Console(file=StringIO(), width=10_000, color_system=None)  # as it comes, with markup and emoji
    out.print(shown)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert not any(map(is_control, text))
    assert "".join(one_line(cell).split()) in "".join(text.replace("\n", "\\n").split()) or "\n" in cell


@given(NAMES)
def test_any_model_and_machine_has_a_name_in_print(name: str) -> None:
    assert isinstance(names.model(name) + names.machine(name) + names.kernel(name) + names.figure(name), str)
