"""A file with what it extends, the parts that it includes, and what the command line sets: one tree."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from os.path import isfile
from pathlib import Path
from typing import Any, TypeAlias

from simulator import data
from simulator.config.figures import fold
from simulator.config.read import Mark, Node, Source, parse, tree_of
from simulator.errors import ConfigError, described, nearest, one_of
from simulator.files import read_text

SCHEMA = 1
"""The newest form of the files that this program reads."""

OPTION = Path("--set")
"""The file, in messages and marks, of what an override says."""

PART = "part"
"""The key of a mapping that names the part on which it is laid: a file of the folder `parts` of its own folder."""

Override: TypeAlias = str | tuple[str, Any]
"""`path.to.key=value`, as after `--set`; or the path, and a value of plain data."""

_KEY = r'"[^"]*"|[^".=]+'
_PATH = rf"(?:{_KEY})(?:\.(?:{_KEY}))*"
_OVERRIDE = re.compile(rf"\s*({_PATH})=(.*)", re.DOTALL)


def resolve(file: Path | None, folder: str, overrides: Sequence[Override]) -> Node:
    """The mapping in `file`, over what it extends (by name in `folder`), under `overrides`; without a file, these."""
    tree = _extended(file, folder, ()) if file else Node({}, Mark(OPTION))
    for override in overrides:
        tree = _overridden(tree, override, folder)
    return tree


def parsed(override: str) -> tuple[str, Any]:
    """The path and the plain value of `path.to.key=value`."""
    match = _OVERRIDE.fullmatch(override)
    if match is None:
        raise ConfigError(file=OPTION, found=described(override), expected="path.to.key=value")
    return match[1].strip(), _plain(parse(match[2], OPTION, lines=False))


def merge(base: Node, over: Node) -> Node:
    """`over` laid on `base`: mappings merge key by key, a null takes its key away, all else replaces."""
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    merged = dict(base.value)
    for key, node in over.value.items():
        if key not in merged:
            merged[key] = node
        elif node.value is None:
            del merged[key]
        else:
            merged[key] = merge(merged[key], node)
    return Node(merged, over.mark, over.source or base.source)


def _extended(file: Path, folder: str, chain: tuple[Path, ...]) -> Node:
    extends, folded, includes = _own(read_text(file), file)
    chain = (*chain, file.resolve())
    if includes:
        folded = _with_parts(folded, folder, chain)
    if extends is None:
        return folded
    base = _base(extends, "extends", folder)
    if base.resolve() in chain:
        circle = " -> ".join(link.stem for link in (*chain, base))
        raise _at(extends, "extends", message=f"extends itself: {circle}")
    return merge(_extended(base, folder, chain), folded)


@lru_cache(maxsize=256)
def _own(text: str, file: Path) -> tuple[Node | None, Node, bool]:
    """What a text extends, its own mapping with figures folded, and whether that includes parts: read once for all."""
    tree = tree_of(text, file)
    if not isinstance(tree.value, dict):
        found = described(tree.value)
        raise ConfigError(file=file, line=tree.mark.line, found=found, expected="a mapping at the top of the file")
    mapping = dict(tree.value)
    _check_schema(mapping.pop("schema", None))
    extends = mapping.pop("extends", None)
    folded = fold(replace(tree, value=mapping))
    return extends, folded, _includes(folded)


def _includes(node: Node) -> bool:
    """Whether a mapping in a tree has the key that names a part."""
    inside = node.value
    return isinstance(inside, dict) and (PART in inside or any(map(_includes, inside.values())))


def _with_parts(node: Node, folder: str, chain: tuple[Path, ...]) -> Node:
    """The tree with each mapping that names a part laid on what that part holds; as it is where no parts are."""
    if not isinstance(node.value, dict):
        return node
    inside = {key: _with_parts(each, folder, chain) for key, each in node.value.items()}
    name = inside.get(PART)
    if name is None or isinstance(name.value, dict) or not data.folder(parts := parts_of(folder)).is_dir():
        return replace(node, value=inside)
    del inside[PART]
    file = _base(name, PART, parts)
    if file.resolve() in chain:
        circle = " -> ".join(link.stem for link in (*chain, file))
        raise _at(name, PART, message=f"a part of itself: {circle}")
    return merge(_held(_extended(file, parts, chain), file), replace(node, value=inside))


def parts_of(folder: str) -> str:
    """The folder of the parts that files of a folder include; parts include others of their own."""
    return folder if folder.endswith("/parts") else f"{folder}/parts"


def _held(part: Node, file: Path) -> Node:
    """The one mapping that a part holds beside its description."""
    keys: Mapping[str, Node] = part.value if isinstance(part.value, dict) else {}
    held = [each for each in keys.values() if isinstance(each.value, dict)]
    if len(held) != 1:
        raise ConfigError("a part", file=file, found=f"{len(held)} mappings", expected="one, such as tier: or link:")
    return held[0]


def _check_schema(schema: Node | None) -> None:
    if schema is None or (type(schema.value) is int and 1 <= schema.value <= SCHEMA):
        return
    newer = isinstance(schema.value, int) and schema.value > SCHEMA
    message = "this file needs a newer tiersim" if newer else ""
    raise _at(schema, "schema", message=message, found=described(schema.value), expected=f"schema {SCHEMA}")


def _base(extends: Node, key: str, folder: str) -> Path:
    """The file that `extends` or `part` means: beside its own file, as a path or less `.yaml`, else ours by name."""
    name, file = extends.value, extends.mark.file
    if not isinstance(name, str) or not name:
        raise _at(extends, key, found=described(name), expected="the name of a file")
    for beside in (file.parent / name, file.parent / f"{name}.yaml"):
        if isfile(beside) and beside.resolve() != file.resolve():  # ours may be extended under its own name
            return beside
    try:
        return data.find(name, folder)
    except ConfigError as error:
        raise _at(
            extends, key, message=error.message, found=error.found, expected=error.expected, nearest=error.nearest
        ) from None


def _overridden(tree: Node, override: Override, folder: str) -> Node:
    key, value = parsed(override) if isinstance(override, str) else override
    path = [each.strip().strip('"') for each in re.findall(_KEY, key)]
    if len(path) > 1 and path[-1] == PART:
        path, value = path[:-1], {PART: value}
    node = fold(_node(value), Source(str(OPTION), "assumption"))
    return _with(tree, path, 0, _with_parts(node, folder, ()))


def _node(value: Any) -> Node:
    """Plain data as a tree, of what an option says."""
    if isinstance(value, Mapping):
        return Node({str(key): _node(each) for key, each in value.items()}, Mark(OPTION))
    if isinstance(value, list | tuple):
        return Node([_node(each) for each in value], Mark(OPTION))
    return Node(value, Mark(OPTION))


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(each) for key, each in node.value.items()}
    return [_plain(each) for each in node.value] if isinstance(node.value, list) else node.value


def _with(node: Node, path: list[str], depth: int, value: Node) -> Node:
    """`node` with `value` at `path`, of which `depth` keys lie above `node`."""
    if depth == len(path):
        return merge(node, value)
    if isinstance(node.value, dict):
        joined = longest_key(path[depth:], node.value) or path[depth]
        path = [*path[:depth], joined, *path[depth + joined.count(".") + 1 :]] if joined != path[depth] else path
    key, here, last = path[depth], path[: depth + 1], depth + 1 == len(path)
    if isinstance(node.value, list):
        if not (key.isdecimal() and int(key) < len(node.value)):
            expected = f"an index from 0 to {len(node.value) - 1}" if node.value else "no key: the list is empty"
            raise ConfigError(file=OPTION, path=here, found=described(key), expected=expected)
        items = list(node.value)
        items[int(key)] = _with(items[int(key)], path, depth + 1, value)
        return replace(node, value=items)
    if not isinstance(node.value, dict):
        found = f"{described(node.value)} at {'.'.join(path[:depth])}"
        raise ConfigError(file=OPTION, path=here, found=found, expected="a mapping there")
    if key not in node.value and not last:
        keys = list(node.value)
        raise ConfigError("unknown key", file=OPTION, path=here, expected=one_of(keys), nearest=nearest(key, keys))
    inside = dict(node.value)
    if last and value.value is None:
        inside.pop(key, None)
    else:
        inside[key] = _with(inside[key], path, depth + 1, value) if key in inside else value
    return replace(node, value=inside)


def longest_key(path: Sequence[str], keys: Collection[str]) -> str | None:
    """The longest key of a mapping that a path starts with: a name such as `host<->gpu.hbm` has a dot of its own."""
    starts = (".".join(path[:end]) for end in range(len(path), 0, -1))
    return next((start for start in starts if start in keys), None)


def _at(
    node: Node,
    path: str,
    *,
    message: str = "",
    found: object = None,
    expected: str | None = None,
    nearest: str | None = None,
) -> ConfigError:
    return ConfigError(
        message, file=node.mark.file, line=node.mark.line, path=path, found=found, expected=expected, nearest=nearest
    )
