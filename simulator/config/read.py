"""YAML text -> a tree of plain values in which every value keeps its file and line.

Scalars are those of YAML 1.2: `1e9` is a number, `no` and `12:30` are text. Keys are text always. What makes YAML
dangerous or surprising is refused: tags that build objects, a key given twice, merge keys, aliases that grow without
bound or contain themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from simulator.errors import ConfigError
from simulator.files import read_text

MOST_VALUES = 1_000_000
DEEPEST = 100

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Mark:
    """Where something was written; no line where it was an option of the command."""

    file: Path
    line: int | None = None


@dataclass(frozen=True)
class Source:
    """Where a figure comes from, and its role (DESIGN.md, "Every number has a source")."""

    text: str
    role: str
    note: str = ""


@dataclass(frozen=True)
class Node:
    """One value of a file: a scalar, or a mapping or list of further nodes."""

    value: Mapping[str, Node] | Sequence[Node] | Scalar
    mark: Mark
    source: Source | None = None


def read(file: Path) -> Node:
    """The tree of a YAML file, parsed once for all who read it: nothing changes its nodes.

    Raises:
        ConfigError: it cannot be read, or is not YAML; with file and line.
    """
    return tree_of(read_text(file), file)


@lru_cache(maxsize=256)
def tree_of(text: str, file: Path) -> Node:
    """The tree of the text of a file, as `read` gives it."""
    return parse(text, file)


def parse(text: str, file: Path, *, lines: bool = True) -> Node:
    """The tree of a YAML text that stands in `file`; its marks have no line if it does not have `lines`."""
    reader = _Reader(file, lines, yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    try:
        return reader.document()
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        line = where.line + 1 if where and lines else None
        problem = error.problem or error.context
        too_deep = "nesting depth" in str(problem)  # LibYAML's own bound, which may be met before ours
        message = f"nested deeper than {DEEPEST} levels" if too_deep else f"not valid YAML: {problem}"
        raise ConfigError(message, file=file, line=line) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", file=file) from None


class _Reader:
    """Turns the parser's events into nodes; its recursion is as deep as the text's nesting, so that is bounded."""

    def __init__(self, file: Path, lines: bool, events: Iterator[Any]) -> None:
        self._file = file
        self._lines = lines
        self._events = events
        self._anchors: dict[str, tuple[Node, int] | None] = {}  # a node and its values; None while it is being read
        self._values = 0

    def document(self) -> Node:
        document = Node(None, Mark(self._file))
        for number, event in enumerate(event for event in self._events if isinstance(event, yaml.NodeEvent)):
            if number:
                raise self._error(event, "one document is expected, and another begins here")
            document = self._node(event, depth=0)
        return document

    def _node(self, event: Any, depth: int) -> Node:
        if depth > DEEPEST:
            raise self._error(event, f"nested deeper than {DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        before = self._values
        self._count(event, 1)
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self._scalar(event), self._mark(event))
        else:
            node = self._collection(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node, self._values - before
        return node

    def _aliased(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            raise self._error(event, f"the alias *{event.anchor} has no anchor before it")
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise self._error(event, f"the alias *{event.anchor} contains itself")
        node, values = anchored
        self._count(event, values)
        return node

    def _count(self, event: Any, values: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise self._error(event, f"more than {MOST_VALUES:,} values, those that aliases repeat included")

    def _collection(self, event: Any, depth: int) -> Node:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", _CORE + ("map" if is_mapping else "seq")):
            raise self._tag_error(event)
        return Node(self._mapping(depth) if is_mapping else self._list(depth), self._mark(event))

    def _mapping(self, depth: int) -> dict[str, Node]:
        mapping: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a key is text, not a list, a mapping or an alias")
            key = event.value
            if key == "<<" and event.implicit[0]:
                raise self._error(
                    event, "merge keys (<<) are not supported; use `extends: NAME` at the top of the file"
                )
            if key in mapping:
                raise self._error(event, f"the key '{key}' is given twice, first in line {mapping[key].mark.line}")
            node = self._node(next(self._events), depth + 1)
            mapping[key] = replace(node, mark=self._mark(event))
        return mapping

    def _list(self, depth: int) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _scalar(self, event: Any) -> Scalar:
        if (event.tag is None and not event.implicit[0]) or event.tag in ("!", _CORE + "str"):
            return str(event.value)  # quoted, or said to be text
        try:
            value = _plain(event.value)
        except ValueError:  # Python's bound on the digits of an integer
            raise self._error(event, "a number of too many digits") from None
        if event.tag is None:
            return value
        if event.tag == _CORE + "float" and type(value) is int:
            return float(value)
        if event.tag not in {_CORE + kind for kind in _KINDS}:
            raise self._tag_error(event)
        if not isinstance(value, _KINDS[event.tag.removeprefix(_CORE)]):
            raise self._error(event, f"'{event.value}' is no {event.tag.removeprefix(_CORE)}, as its tag says")
        return value

    def _mark(self, event: Any) -> Mark:
        return Mark(self._file, event.start_mark.line + 1 if self._lines else None)

    def _tag_error(self, event: Any) -> ConfigError:
        tag = event.tag.replace(_CORE, "!!")
        return self._error(event, f"the tag {tag} is refused: a file holds plain data, and builds no objects")

    def _error(self, event: Any, message: str) -> ConfigError:
        mark = self._mark(event)
        return ConfigError(message, file=mark.file, line=mark.line)


_CORE = "tag:yaml.org,2002:"
_KINDS: dict[str, type] = {"null": type(None), "bool": bool, "int": int, "float": float}

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def _plain(text: str) -> Scalar:
    """An unquoted scalar by the core schema of YAML 1.2.2, section 10.3.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, base=0)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
