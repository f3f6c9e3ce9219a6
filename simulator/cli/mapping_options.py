"""The options of commands that take a mapping: one for each key of the section `mapping` of a scenario."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.errors import ConfigError

FLAGS = ("together", "migrate")
DRAFT = {
    "draft": "model", "draft_kind": "kind", "drafted": "tokens", "acceptance": "acceptance",
    "accepted_length": "accepted_length",
}  # fmt: skip
"""The options of a draft, and its keys."""
INNER = {("draft", key): option for option, key in DRAFT.items()} | {
    ("scheduler", "kind"): "scheduler",
    ("scheduler", "replicas"): "replicas",
}
"""The options of keys inside of sections."""
ALIASES = {"dtype": ("--quantization",)}
"""Other names of options."""
OPTIONS = {"n_devices": "devices"}
"""Options of keys that are called otherwise."""
WHOLE = ("residency", "scheduler", "draft")
"""Sections of the mapping: those of other kinds of workload are given in a scenario's file."""


def with_mapping(keys: tuple[str, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these keys; it receives them as the plain data of a section, `mapping`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        options = {parameter.name: parameter for parameter in _parameters(keys)}
        own = inspect.signature(command, eval_str=True).parameters.values()
        known = {*options, *(parameter.name for parameter in own)}

        @wraps(command)
        def run(**arguments: Any) -> None:
            chosen = {name: arguments.pop(name) for name in options}
            with _named(arguments.get("overrides") or (), known):
                command(**arguments, mapping=_section(chosen))

        kept = [parameter for parameter in own if parameter.name != "mapping"]
        run.__signature__ = inspect.Signature([*kept, *options.values()])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*kept, *options.values()]}
        return run

    return decorate


def _parameters(keys: tuple[str, ...]) -> Iterator[inspect.Parameter]:
    for key in keys:
        if key == "draft":
            for option, inner in DRAFT.items():
                yield _parameter(option, _lines("Draft")[inner])
        elif key not in WHOLE:
            yield _parameter(key, _lines("MappingForm")[key])


@cache
def _lines(form: str) -> dict[str, str]:
    """The line under each key of a form of `mapping/form.py`, which is read as text: to import it takes long."""
    tree = ast.parse((Path(__file__).parents[1] / "mapping" / "form.py").read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == form)
    return {
        key.target.id: inspect.cleandoc(line.value.value)
        for key, line in pairwise(body)
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name)
        if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
    }


def _parameter(key: str, help: str) -> inspect.Parameter:
    names = [f"--{key.replace('_', '-')}", *ALIASES.get(key, ())]
    kind: Any = list[str] | None if key in ("engines", "answers") else bool if key in FLAGS else str | None
    option = typer.Option(*names, metavar=None if key in FLAGS else key.upper(), help=help, show_default=False)
    default = False if key in FLAGS else None
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _section(options: dict[str, Any]) -> dict[str, Any]:
    """The plain data of the section `mapping`, of what is given."""
    draft = {key: options.pop(option) for option, key in DRAFT.items() if option in options}
    section = {key: _plain(value) for key, value in options.items() if value not in (None, False)}
    known = {key: value for key, value in draft.items() if value is not None}
    return {**section, "draft": known} if known else section


def _plain(value: Any) -> Any:
    """A value of an option: a number, a list or a table, where it is one."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        from simulator.config.resolve import parsed

        return parsed(f"value={value}")[1]
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d+", value) else value


@contextmanager
def _named(overrides: Sequence[str], known: Collection[str]) -> Iterator[None]:
    """Tell what is wrong with a key of the mapping or the workload, or with an override, by its option.

    `known`: the parameters of the command; a key that it has no option for keeps its path.
    """
    try:
        yield
    except ConfigError as error:
        path = tuple(error.path.split(".") if isinstance(error.path, str) else error.path or ())
        typed = _override(path, overrides) if path and error.file is None else None
        if typed:
            from simulator.config.resolve import OPTION

            error.file, error.path = OPTION, path if typed.startswith(f"{path[0]}") else path[1:]
        elif error.file is None and len(path) > 1 and path[0] in ("mapping", "workload") and _key(path[1:]) in known:
            whole = path[1] == "draft" or tuple(path[1:3]) in INNER
            inside = path[2:] if not whole and any(isinstance(key, str) for key in path[2:]) else ()
            error.path = (option_of([str(key) for key in path[1:]]), *inside)
        raise


def _key(path: Sequence[str | int]) -> str:
    """The name of the option of a key of the mapping or the workload, as parameters have it."""
    return INNER.get((str(path[0]), str(path[1])) if len(path) > 1 else ("", ""), str(path[0]))


def option_of(path: Sequence[str]) -> str:
    """The option of a key of the mapping or the workload."""
    key = _key(path)
    return " / ".join([f"--{OPTIONS.get(key, key.replace('_', '-'))}", *ALIASES.get(key, ())])


def _override(path: Sequence[str | int], overrides: Sequence[str]) -> str | None:
    """The path, as typed, of the override that a key of a scenario is of, or lies in what it is set to.

    A machine's may leave `hardware` out.
    """
    from simulator.scenario.evaluate import with_root

    at = f"{'.'.join(map(str, path))}."
    for override in overrides:
        typed = override.partition("=")[0].strip()
        full = f"{with_root(f'{typed}=')[:-1]}."
        if full.startswith(at) or at.startswith(full):
            return typed
    return None
