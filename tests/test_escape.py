from __future__ import annotations

import html.parser
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import escape

PIECES = [
    "\x1b[31m", "\x9b31m", "\u202e", "\u2066", "\x00", "\x07", "\r", "\n", "\t", "\u2028", "\ud800", "\ufeff", "[red]",
    ":fire:", "<script>", "</b>", "&amp;", "$\\frac$", "$x", "|", "`", "``", "_", "*", "\\", "../", "/", "..", "a",
    "\u00e9", "\u6f22", "#",
]  # fmt: skip
NAMES = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=8).map("".join)
"""Texts of what borders treat as their own, and any other characters, half surrogates too."""


def is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character != "\n"


@given(NAMES)
def test_a_visible_text_has_no_controls_and_is_itself_again(text: str) -> None:
    shown = escape.visible(text)
    assert not any(map(is_control, shown))
    assert escape.visible(shown) == shown
    if "\\" not in text and not any(unicodedata.category(c) in ("Cn", "Co") for c in text):
        parts = (part.encode("latin-1", "backslashreplace") for part in shown.split("\n"))
        assert "\n".join(part.decode("unicode_escape") for part in parts) == text


@given(NAMES)
def test_a_text_that_prints_is_as_it_is(text: str) -> None:
    plain = "".join(c for c in text if c.isprintable() or c == "\n")
    assert escape.visible(plain) == plain


class Texts(html.parser.HTMLParser):
    """The texts, tags and values of an HTML document."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@given(NAMES)
def test_html_has_the_text_and_no_tag_of_it(text: str) -> None:
    read = Texts(f'<b title="{escape.html(text)}">{escape.html(text)}</b>')
    assert read.tags == [("b", [("title", escape.one_line(text))])]
    assert "".join(read.texts) == escape.one_line(text)


@given(NAMES)
def test_markdown_is_one_line_without_html_and_bars(text: str) -> None:
    for shown in (escape.markdown(text), escape.prose(text)):
        assert "\n" not in shown
        assert not any(map(is_control, shown))
        assert "<" not in shown
        assert ">" not in shown
    bare = escape.markdown(text)
    for sign in ("|", "`", "*", "[", "]"):
        assert bare.count(sign) == bare.count(f"\\{sign}")


@given(NAMES)
def test_a_code_span_ends_with_its_fence_alone(text: str) -> None:
    span = escape.code(text)
    fence = span[: len(span) - len(span.lstrip("`"))]
    assert span.endswith(fence)
    assert fence not in span[len(fence) : -len(fence)]


@given(NAMES)
def test_a_file_name_stays_in_its_folder(text: str) -> None:
    name = escape.file_name(text)
    assert name
    assert len(name) <= escape.MOST_NAME + 3
    assert (Path("/a") / name).resolve().parent == Path("/a")
    assert name.isascii()


@pytest.mark.parametrize("name", ["fig11", "throughput-fig11", "tokens_per_s", "DGX A100"])
def test_plain_names_are_as_they_are(name: str) -> None:
    assert escape.file_name(name) == escape.markdown(name) == escape.html(name) == name
    assert escape.code(name) == f"`{name}`"
