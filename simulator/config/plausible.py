"""Is a figure of the size that such figures have? Those of the shipped files are the measure.

`shipped.csv` has the least and the most of each figure in `hwconfigs/` and `workloads/models/`; a test computes it
anew. Zero is no size: a latency of nothing, a link that costs no energy.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from simulator.config import Config, KeyPath
from simulator.errors import ConfigError, warn
from simulator.units import Unit, rescaled, show

Form: TypeAlias = Literal["machine", "model", "cost table", "runtime"]
Ranges: TypeAlias = dict[tuple[str, str], tuple[float, float]]

TABLE = Path(__file__).with_name("shipped.csv")
FACTOR = 100.0
"""How far beyond all shipped figures another may lie."""
ENOUGH = 3
"""Different figures that make a range of one kind alone."""
ANY = "*"


@dataclass(frozen=True)
class Figure:
    """A number of a form.

    Attributes:
        path: the keys that lead to it.
        name: those keys of it that all files have, and the `kind` of what they describe: `devices.tiers.hbm.bandwidth`.
        pooled: the same, of whatever kind.
        value: in the SI unit `unit`, which a count has none of.
    """

    path: KeyPath
    name: str
    pooled: str
    value: float
    unit: str | None


def figures(part: BaseModel, path: KeyPath = (), name: str = "", pooled: str = "") -> Iterator[Figure]:
    """The numbers of a form that stand in its file or follow from it, zeros and defaults apart."""
    fields = type(part).model_fields
    if "kind" in fields and name:
        kind: str = getattr(part, "kind")  # noqa: B009  # not every form has one
        name, pooled = f"{name}.{kind}", f"{pooled}.{ANY}"
    for key, field in fields.items():
        value = getattr(part, key)
        if key in part.model_fields_set or value != field.get_default(call_default_factory=True):
            names = (f"{name}.{key}".lstrip("."), f"{pooled}.{key}".lstrip("."))
            yield from _inside(value, (*path, key), names, unit_of(type(part), key))


def _inside(value: Any, path: KeyPath, names: tuple[str, str], unit: str | None) -> Iterator[Figure]:
    if isinstance(value, BaseModel):
        yield from figures(value, path, *names)
    elif isinstance(value, dict | list | tuple):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _inside(inner, (*path, key), names, unit)
    elif isinstance(value, int | float) and not isinstance(value, bool) and value:
        yield Figure(path, *names, float(value), unit)


@cache
def unit_of(form: type[BaseModel], key: str) -> str | None:
    """The SI unit of a field, or of the figures in it where it is a table; None if it has none."""
    field = form.model_fields[key]
    pending: list[Any] = [*field.metadata, field.annotation]
    while pending:
        part = pending.pop()
        if isinstance(part, Unit):
            return part.text
        pending += [*getattr(part, "__metadata__", ()), *getattr(part, "__args__", ())]
    return None


def ranges(parts: Iterable[tuple[Form, BaseModel]]) -> Ranges:
    """The least and the most of each figure of some forms, by form and name.

    A kind has a range of its own where there are `ENOUGH` different figures of it; else that of all kinds together is
    taken, a memory's where there are as many, for its kinds are of all sizes. A count of which all forms have the same
    has none.
    """
    values: dict[tuple[str, str], set[float]] = {}
    wanted = set()
    for form, part in parts:
        for figure in figures(part):
            for name in {figure.name, figure.pooled}:
                known = values.setdefault((form, name), set())
                known.add(figure.value)
                own = name != figure.pooled or f"tiers.{ANY}" in name
                least = ENOUGH if own else 1 if figure.unit else 2
                if len(known) >= least:
                    wanted.add((form, name))
    return {key: (min(values[key]), max(values[key])) for key in sorted(wanted)}


@cache
def shipped() -> Ranges:
    """What `shipped.csv` says of the shipped files."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows: Iterable[Mapping[str, str]] = csv.DictReader(file)
        return {(row["form"], row["figure"]): (float(row["least"]), float(row["most"])) for row in rows}


def written(known: Ranges) -> str:
    """The text of `shipped.csv`."""
    lines = [f"{form},{name},{least!r},{most!r}" for (form, name), (least, most) in known.items()]
    return "\n".join(["form,figure,least,most", *lines, ""])


def check_sizes(form: Form, part: BaseModel, config: Config) -> None:
    """Warn of each figure that is more than `FACTOR` beyond all shipped ones; says the unit that was probably meant."""
    known = shipped()
    for figure in figures(part):
        sizes = known.get((form, figure.name)) or known.get((form, figure.pooled))
        if sizes and not sizes[0] / FACTOR <= figure.value <= sizes[1] * FACTOR:
            warn(_problem(form, figure, sizes, config))


def _problem(form: Form, figure: Figure, sizes: tuple[float, float], config: Config) -> ConfigError:
    raw, unit = _raw(config.data, figure.path), figure.unit
    shown, *bounds = (show(size, unit) if unit and unit != "1" else f"{size:,.6g}" for size in (figure.value, *sizes))
    if isinstance(raw, int | float):
        shown = f"{raw:,.6g} {unit or ''}".removesuffix(" 1").rstrip()
    return config.error(
        figure.path,
        found=raw if isinstance(raw, str) else shown,
        expected=f"about {' to '.join(dict.fromkeys(bounds))}, as shipped {form}s have",
        nearest=rescaled(raw, unit, *sizes) if raw is not None and unit else None,
    )


def _raw(data: Any, path: KeyPath) -> Any:
    """What the file says there; None where the figure follows from others."""
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data
