"""Names as each border shows them: what a file or an option calls something is text there, and nothing else."""

from __future__ import annotations

import html as _html
import re
import unicodedata


def visible(text: str) -> str:
    r"""A text for a terminal: what has no look of its own (controls, marks of direction, half surrogates) as `\x1b`.

    Line feeds stay.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def one_line(text: str) -> str:
    """A text for a place of one line: line feeds are written out too."""
    return visible(text).replace("\n", r"\n")


def html(text: str) -> str:
    """A text for HTML, in an element or an attribute."""
    return _html.escape(one_line(text))


def markdown(text: str) -> str:
    """A text for a line or a cell of Markdown: no markup, no HTML, no cell of its own."""
    return re.sub(r"[\\`*\[\]<>|]|&(?=#?\w+;)|(?<!\w)_|_(?!\w)|^(?=[#+-])", _escaped, one_line(text))


def code(text: str) -> str:
    """A text as a code span of Markdown: its fence is longer than any in it; a bar is no cell of its own."""
    text = one_line(text).replace("|", r"\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def plot(text: str) -> str:
    """A text of a figure: a dollar is a dollar, and begins no formula."""
    return re.sub(r"(?<!\\)\$", r"\\$", visible(text))


def _shown(character: str) -> str:
    if character == "\n" or character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()


def _escaped(match: re.Match[str]) -> str:
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(match[0], f"\\{match[0]}")
