from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from simulator.errors import ConfigError
from simulator.report import style


@style.publication()
def draw(path: Path) -> bytes:
    figure = style.figure(style.COLUMN, 2)
    axes = figure.subplots()
    axes.plot([1, 10, 100], [1, 2, 5], color=style.BLUE, clip_on=True)
    axes.fill_between([1, 100], 1, 3, hatch="//")
    style.plain_log(axes, "x", (1, 2, 5))
    style.say(axes, "a line", (10, 2), (3, 3))
    style.legend(figure, [style.key("published", **style.OPEN)])
    style.save(figure, path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_drawn_twice_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    first, second = draw(tmp_path / f"a.{suffix}"), draw(tmp_path / f"b.{suffix}")
    assert first == second
    assert not any(mark in first for mark in (b"Matplotlib", b"CreationDate", b"<dc:date>"))


def test_what_the_user_has_set_does_not_show(tmp_path: Path) -> None:
    import matplotlib

    plain = draw(tmp_path / "a.svg")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.hashsalt": "other"}):
        assert draw(tmp_path / "b.svg") == plain


def test_another_suffix_is_refused_with_those_that_are_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.jpg.*\.png, \.svg or \.pdf"):
        draw(tmp_path / "a.jpg")
    assert not any(tmp_path.iterdir())


def test_a_failed_drawing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    old = draw(tmp_path / "a.svg")

    class Broken(Figure):
        def savefig(self, file: Path, **_: object) -> None:
            file.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        style.save(Broken(), tmp_path / "a.svg")
    assert [file.name for file in tmp_path.iterdir()] == ["a.svg"]
    assert (tmp_path / "a.svg").read_bytes() == old


def test_a_tint_lies_between_white_and_the_colour() -> None:
    assert style.tint(style.BLACK, 0) == (1, 1, 1)
    assert style.tint(style.BLACK, 1) == (0, 0, 0)
    assert style.tint("#FF0000", 0.5) == (1, 0.5, 0.5)
