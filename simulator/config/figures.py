"""Figures and where they come from: `{value: 3.2 TB/s, source: "Table II", role: input}` folds to `3.2 TB/s`.

A mapping may carry `source`, `role` and `note` for all that stands inside it in the same file. They are lifted out of
the data, and handed down here, before files are merged: a source speaks for nobody else's figures.
"""

from __future__ import annotations

from dataclasses import replace

from simulator.config.read import Node, Source
from simulator.errors import ConfigError, described, nearest, unknown

ROLES = ("input", "assumption", "calibration", "prediction", "context", "disputed")
_ABOUT = ("source", "role", "note")


def fold(node: Node, source: Source | None = None) -> Node:
    """The tree with each figure folded to its value and each value knowing its source, `source` if it has no nearer."""
    if isinstance(node.value, list):
        return replace(node, value=[fold(item, source) for item in node.value], source=source)
    if not isinstance(node.value, dict):
        return replace(node, source=source)
    own = _own(node.value, source)
    if "value" in node.value and node.value.keys() <= {"value", *_ABOUT}:
        return fold(replace(node.value["value"], mark=node.mark), own)
    for key in node.value.keys() - {"value", *_ABOUT} if "value" in node.value else ():
        if close := nearest(key, _ABOUT):
            mark = node.value[key].mark
            raise ConfigError("unknown key of a figure", file=mark.file, line=mark.line, path=key, nearest=close)
    inside = {key: fold(child, own) for key, child in node.value.items() if key not in _ABOUT}
    return replace(node, value=inside, source=own)


def _own(mapping: dict[str, Node], outer: Source | None) -> Source | None:
    """What a mapping says of itself; what it leaves out it has from outside, but an assumption has no source there.

    With a source of its own it keeps the role from outside too, unless that is of having no source.
    """
    about = {key: _text(key, mapping[key]) for key in _ABOUT if key in mapping}
    if not about:
        return outer
    text, role = about.get("source", ""), about.get("role", "")
    if not text and outer:
        role = role or outer.role
        text = "" if role == "assumption" else outer.text
    elif outer and outer.role != "assumption":
        role = role or outer.role
    return Source(text, role or ("input" if text else "assumption"), about.get("note", ""))


def _text(key: str, node: Node) -> str:
    value, mark = node.value, node.mark
    if not isinstance(value, str):
        raise ConfigError(file=mark.file, line=mark.line, path=key, found=described(value), expected="text")
    if key == "role" and value not in ROLES:
        raise unknown(value, ROLES, file=mark.file, line=mark.line, path=key, found=described(value))
    return value
