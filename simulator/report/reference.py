"""The reference of the YAML: each key of each form, with what it holds, its default, one line and an example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from inspect import cleandoc
from typing import Any, Literal, NamedTuple, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from simulator import data
from simulator.config import KeyPath, load
from simulator.hardware.cost_form import CostTable
from simulator.hardware.machine import Machine
from simulator.report.type_text import Levels, field_type, forms, type_text, unit
from simulator.workload import Model
from simulator.workload.eager import Family
from simulator.workload.measured import MeasuredRouting

LONGEST = 60  # characters of an example

HEAD = """\
# YAML, key by key

<!-- Made by `tiersim schema --reference docs/yaml.md`: edit the forms and not this page. -->

What holds in every file, its figures and their units, stands in [Files](files.md). The examples are from the first file
that ships with the key. A default that is *derived* follows from other keys; *required* is a key without which a file,
with all that it extends, is refused; where there is no default, a key that is left out is absent.
"""


class Chapter(NamedTuple):
    """A kind of YAML: its form, and the folder in which files of it ship."""

    title: str
    form: type[BaseModel]
    folder: str


CHAPTERS = (
    Chapter("Machines", Machine, "hwconfigs"),
    Chapter("Cost tables", CostTable, "hwconfigs/costs"),
    Chapter("Models", Model, "workloads/models"),
    Chapter("Routing", MeasuredRouting, "workloads/routing"),
    Chapter("What PyTorch dispatches", Family, "workloads/eager"),
)


def reference() -> str:
    """The page as Markdown, a chapter a kind of YAML and a table a section of it."""
    return "\n".join([HEAD, *(line for chapter in CHAPTERS for line in _Reference(chapter).lines())])


class _Reference:
    """One chapter: where each of its forms stands, and an example of each of their keys."""

    def __init__(self, chapter: Chapter) -> None:
        self.chapter = chapter
        self.places: dict[type[BaseModel], list[str]] = {}
        self._place(chapter.form, "")

    def _place(self, form: type[BaseModel], path: str) -> None:
        known = form in self.places
        self.places.setdefault(form, []).append(path)
        for key, field in () if known else form.model_fields.items():
            for levels, inner in forms(field_type(field)):
                self._place(inner, f"{path}.{_key(key, field)}".lstrip(".") + "".join(levels))

    def lines(self) -> Iterator[str]:
        yield f"## {self.chapter.title} (`{self.chapter.folder}/`)\n"
        for form, (_, *others) in self.places.items():
            if form is not self.chapter.form:
                yield f"### {self._title(form)}\n"
            if form.__doc__:
                yield cleandoc(form.__doc__) + "\n"
            if others:
                yield f"The same at {', '.join(f'`{each}`' for each in others)}.\n"
            yield "| key | holds | default | meaning | example |"
            yield "|---|---|---|---|---|"
            for key, field in form.model_fields.items():
                types = field_type(field)
                cells = [
                    f"`{_key(key, field)}`",
                    type_text(types, self._link),
                    _default(field),
                    field.description or "",
                    self._example(form, key),
                ]
                yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
            yield ""

    def _title(self, form: type[BaseModel]) -> str:
        tag = next((get_args(f.annotation)[0] for f in form.model_fields.values() if _is_tag(f)), None)
        return f"`{self.places[form][0]}`" + (f" of kind `{tag}`" if tag else "")

    def _link(self, form: type[BaseModel]) -> str:
        slug = re.sub(r"[^\w -]", "", self._title(form).lower()).replace(" ", "-")
        return f"[section](#{slug})"

    def _example(self, form: type[BaseModel], key: str) -> str:
        if (form, key) not in self._examples or any(True for _ in forms(field_type(form.model_fields[key]))):
            return ""
        value, file = self._examples[form, key]
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
        text = text.removesuffix("\n").removesuffix("\n...")
        return f"`{text if len(text) <= LONGEST else text[:LONGEST].rstrip() + ' …'}` ({file})"

    @cached_property
    def _examples(self) -> dict[tuple[type[BaseModel], str], tuple[Any, str]]:
        """The first value that ships of each key of each form, and the file that has it."""
        first: dict[tuple[type[BaseModel], str], tuple[Any, str]] = {}
        for name in data.names(self.chapter.folder):
            config = load(name, self.chapter.folder)
            for form, section, path in _sections(self.chapter.form, config.data, ()):
                for key in section:
                    first.setdefault((form, key), (section[key], config.mark((*path, key)).file.stem))
        return first


def _sections(form: type[BaseModel], section: Any, path: KeyPath) -> Iterator[tuple[type[BaseModel], Any, KeyPath]]:
    """The sections of a file that are of a form or of those inside it, each with its path."""
    keys = {_key(key, field): field for key, field in form.model_fields.items()}
    if not isinstance(section, dict) or not section.keys() <= {*keys, "schema", "extends"}:
        return  # what a union holds is of another form
    own = {key: value for key, value in section.items() if key in keys}
    yield form, own, path
    for key, value in own.items():
        for levels, inner in forms(field_type(keys[key])):
            for below, at in _below(value, (*path, key), levels):
                yield from _sections(inner, below, at)


def _below(value: Any, path: KeyPath, levels: Levels) -> Iterator[tuple[Any, KeyPath]]:
    if not levels:
        yield value, path
        return
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from _below(each, (*path, key), levels[1:])


def _default(field: FieldInfo) -> str:
    """The default of a key; one that its own type refuses stands for what is derived."""
    if field.is_required():
        return "*required*"
    value, types = field.get_default(call_default_factory=True), field_type(field)
    try:
        TypeAdapter(types).validate_python(value)
    except ValidationError:
        return "*derived*"
    if value is None or value in ("", {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, float):
        return f"`{value:g} {unit(types)}`".replace(" 1`", "`").replace(" None`", "`")
    return f"`{yaml.safe_dump(value, default_flow_style=True).removesuffix(chr(10)).removesuffix(chr(10) + '...')}`"


def _is_tag(field: FieldInfo) -> bool:
    """Whether a key tells its form from others in its place."""
    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1


def _key(name: str, field: FieldInfo) -> str:
    """A key as a file writes it."""
    return field.alias or name
