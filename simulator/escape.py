"""Names as each border shows them: what a file or an option calls something is text there, and nothing else."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

MOST_NAME = 200
"""Characters of the name of a file, less its suffix."""


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
    from html import escape

    return escape(one_line(text))


def markdown(text: str) -> str:
    """A text for a line or a cell of Markdown: no markup, no HTML, no cell of its own."""
    return re.sub(r"[\\`*\[\]<>|]|&(?=#?\w+;)|(?<!\w)_|_(?!\w)|^(?=[#+-])", _escaped, one_line(text))


def code(text: str) -> str:
    """A text as a code span of Markdown: its fence is longer than any in it; a bar is no cell of its own."""
    text = one_line(text).replace("|", r"\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def prose(text: str) -> str:
    """Markdown of ours in which names stand: its markup is kept, and no HTML."""
    return re.sub(r"[<>]", _escaped, one_line(text))


def file_name(text: str) -> str:
    """A text as the name of a file in a folder, and of none above it; what is no letter or digit as `%2F`."""
    name = quote(one_line(text), safe=" +,=@()")[:MOST_NAME]
    return f"%{ord(name[:1] or '.'):02X}{name[1:]}" if name[:1] in ("", ".") else name


def link(file: str) -> str:
    """A relative link to a file of that name, for Markdown and HTML."""
    return quote(one_line(file), safe="/+,=@")


def _shown(character: str) -> str:
    if character == "\n" or character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()


def _escaped(match: re.Match[str]) -> str:
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(match[0], f"\\{match[0]}")
