"""The options of commands that take a mapping: one for each key of the section `mapping` of a scenario."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Annotated, Any

import typer

from simulator.errors import ConfigError
from simulator.mapping.form import Draft, MappingForm

FLAGS = ("together", "migrate")
DRAFT = {"draft": "model", "drafted": "tokens", "acceptance": "acceptance", "accepted_length": "accepted_length"}
"""The options of a draft, and its keys."""
WHOLE = ("residency", "scheduler", "draft")
"""Sections of the mapping: those of other kinds of workload are given in a scenario's file."""


def with_mapping(keys: tuple[str, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these keys; it receives them as the plain data of a section, `mapping`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        options = {parameter.name: parameter for parameter in _parameters(keys)}

        @wraps(command)
        def run(**arguments: Any) -> None:
            given = {name: arguments.pop(name) for name in options}
            with _named(options):
                command(**arguments, mapping=_section(given))

        own = inspect.signature(command, eval_str=True).parameters.values()
        kept = [parameter for parameter in own if parameter.name != "mapping"]
        run.__signature__ = inspect.Signature([*kept, *options.values()])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*kept, *options.values()]}
        return run

    return decorate


def _parameters(keys: tuple[str, ...]) -> Iterator[inspect.Parameter]:
    for key in keys:
        if key == "draft":
            for option, inner in DRAFT.items():
                yield _parameter(option, Draft.model_fields[inner].description or "")
        elif key not in WHOLE:
            yield _parameter(key, MappingForm.model_fields[key].description or "")


def _parameter(key: str, help: str) -> inspect.Parameter:
    named = f"--{key.replace('_', '-')}"
    kind: Any = list[str] | None if key in ("engines", "answers") else bool if key in FLAGS else str | None
    option = typer.Option(named, metavar=None if key in FLAGS else key.upper(), help=help, show_default=False)
    default = False if key in FLAGS else None
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _section(given: dict[str, Any]) -> dict[str, Any]:
    """The plain data of the section `mapping`, of what is given."""
    draft = {key: given.pop(option) for option, key in DRAFT.items() if option in given}
    section = {key: value for key, value in given.items() if value not in (None, False)}
    known = {key: value for key, value in draft.items() if value is not None}
    return {**section, "draft": known} if known else section


@contextmanager
def _named(options: dict[str, inspect.Parameter]) -> Iterator[None]:
    """Tell what is wrong with a key of the mapping or the workload by its option."""
    try:
        yield
    except ConfigError as error:
        path = error.path if isinstance(error.path, tuple | list) else ()
        if error.file is None and len(path) > 1 and path[0] in ("mapping", "workload"):
            inner = {key: option for option, key in DRAFT.items()}
            key = inner.get(str(path[2]), "draft") if path[1] == "draft" and len(path) > 2 else str(path[1])
            error.path = f"--{key.replace('_', '-')}"
        raise
