"""The reference of the YAML: each key of each form, with what it holds, its default, one line and an example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, Literal, NamedTuple, TypeAlias, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from simulator import data
from simulator.config import KeyPath, load
from simulator.config.section import meanings
from simulator.hardware.cost_form import CostTable
from simulator.hardware.machine import Machine
from simulator.mapping.gpu.calibration import Calibration
from simulator.mapping.runtime.form import Runtime
from simulator.report.type_text import Levels, field_type, forms, type_text, unit
from simulator.scenario.form import Scenario
from simulator.study.form import StudyForm
from simulator.workload import Model
from simulator.workload.eager import Family
from simulator.workload.requests.form import RequestsForm
from simulator.workload.routing.measured import MeasuredRouting

LONGEST = 60  # characters of an example

HEAD = """\
# YAML, key by key

<!-- Made by `tiersim schema --reference docs/yaml.md`: edit the forms and not this page. -->

What holds in every file, its figures and their units, stands in [Files](files.md). The examples are from the first file
that ships with the key. A default that is *derived* follows from other keys; *required* is a key without which a file,
with all that it extends, is refused; where there is no default, a key that is left out is absent.
"""


class Chapter(NamedTuple):
    """A kind of YAML: its form, and the folder in which files of it ship, if any do."""

    title: str
    form: type[BaseModel]
    folder: str = ""


CHAPTERS = (
    Chapter("Scenarios", Scenario, "docs/scenarios"),
    Chapter("Studies", StudyForm, "experiments"),
    Chapter("Machines", Machine, "hwconfigs"),
    Chapter("Runtimes", Runtime, "hwconfigs/runtimes"),
    Chapter("Cost tables", CostTable, "hwconfigs/costs"),
    Chapter("Models", Model, "workloads/models"),
    Chapter("Routing", MeasuredRouting, "workloads/routing"),
    Chapter("Calibrations of kernels", Calibration, "hwconfigs/calibrations"),
    Chapter("What PyTorch dispatches", Family, "workloads/eager"),
    Chapter("Requests", RequestsForm),
)

Examples: TypeAlias = dict[tuple[type[BaseModel], str], tuple[Any, str]]
"""By form and key: a value, and the file that has it."""


def reference() -> str:
    """The page as Markdown, a chapter a kind of YAML and a table a section of it."""
    examples, lines = _examples(), [HEAD]
    titles = {each.form: f"{each.title} (`{each.folder}/`)" if each.folder else each.title for each in CHAPTERS}
    for chapter in CHAPTERS:
        sections = _Sections(chapter, titles)
        lines += sections.lines(examples)
        titles |= {form: sections.title(form) for form in sections.places}
    return "\n".join(lines)


class _Sections:
    """The sections of one chapter: its forms, and where each stands; without those of chapters before it or of their
    own, whose `titles` are known.
    """

    def __init__(self, chapter: Chapter, titles: dict[type[BaseModel], str]) -> None:
        self.chapter, self.titles = chapter, titles
        self.places: dict[type[BaseModel], list[str]] = {}
        self._place(chapter.form, "")

    def _place(self, form: type[BaseModel], path: str) -> None:
        known, tag = form in self.places, _tag(form)
        self.places.setdefault(form, []).append(path)
        path = f"{path}({tag})" if tag else path
        for key, field in () if known else form.model_fields.items():
            for levels, inner in forms(field_type(field)):
                if inner not in self.titles:
                    self._place(inner, f"{path}.{field.alias or key}".lstrip(".") + "".join(levels))

    def lines(self, examples: Examples) -> Iterator[str]:
        for form, (_, *others) in self.places.items():
            yield f"{'##' if form is self.chapter.form else '###'} {self.title(form)}\n"
            if form.__doc__:
                yield cleandoc(form.__doc__) + "\n"
            if others:
                yield f"The same at {', '.join(f'`{each}`' for each in others)}.\n"
            yield "| key | holds | default | meaning | example |"
            yield "|---|---|---|---|---|"
            for key, field in form.model_fields.items():
                example = _flow(*examples[form, key]) if (form, key) in examples else ""
                cells = [
                    f"`{field.alias or key}`",
                    type_text(field_type(field), self._link),
                    _default(field),
                    meanings(form).get(key) or ("Which of these it is." if _is_tag(field) else ""),
                    example,
                ]
                yield "| " + " | ".join(" ".join((cell or "").split()).replace("|", "\\|") for cell in cells) + " |"
            yield ""

    def title(self, form: type[BaseModel]) -> str:
        """What stands over the table of a form."""
        if form in self.titles:
            return self.titles[form]
        tag = _tag(form)
        return f"`{self.places[form][0]}`" + (f" of kind `{tag}`" if tag else "")

    def _link(self, form: type[BaseModel]) -> str:
        slug = re.sub(r"[^\w -]", "", self.title(form).lower()).replace(" ", "-")
        return f"[{_tag(form) or 'section'}](#{slug})"


def _examples() -> Examples:
    """The first value that ships of each key that holds no section."""
    first: Examples = {}
    for chapter in CHAPTERS:
        for name in data.names(chapter.folder) if chapter.folder else ():
            config = load(name, chapter.folder)
            for form, section, path in _sections(chapter.form, config.data, ()):
                for key, value in section.items():
                    inner = any(True for _ in forms(field_type(form.model_fields[key])))
                    if not (inner and isinstance(value, dict | list)):
                        file = config.mark((*path, key)).file
                        place = file.parent.name if file.name == data.EXPERIMENT else file.stem
                        first.setdefault((form, key), (value, place))
    return first


def _flow(value: Any, file: str) -> str:
    """A value as a file may write it in one line, cut where it is long."""
    text = _yaml(value)
    return f"`{text if len(text) <= LONGEST else text[:LONGEST].rstrip() + ' …'}` ({file})"


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _sections(form: type[BaseModel], section: Any, path: KeyPath) -> Iterator[tuple[type[BaseModel], Any, KeyPath]]:
    """The sections of a file that are of a form or of those inside it, each with its path."""
    fields = {field.alias or key: key for key, field in form.model_fields.items()}
    if not isinstance(section, dict) or not section.keys() <= {*fields, "schema", "extends"}:
        return  # what a union holds is of another form
    if _tag(form) not in (None, section.get("kind", _tag(form))):
        return
    own = {fields[key]: value for key, value in section.items() if key in fields}
    yield form, own, path
    for key, value in own.items():
        for levels, inner in forms(field_type(form.model_fields[key])):
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
    return f"`{_yaml(value)}`"


def _tag(form: type[BaseModel]) -> str | None:
    """The kind that tells a form from others in its place."""
    kinds = (get_args(field.annotation) for field in form.model_fields.values() if _is_tag(field))
    return next((kind[0] for kind in kinds), None)


def _is_tag(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1
