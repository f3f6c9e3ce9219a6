"""`tiersim show`: a machine, model, scenario, study, runtime or cost table, its figures and sources; or requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.diff import side_by_side
from simulator.cli.kind import kind_of
from simulator.cli.options import Json, Overrides
from simulator.cli.output import abbreviations, console, count_of, print_json, role_text, shown_path, table_of
from simulator.cli.requests import SkipBad
from simulator.data import EXPERIMENT

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

    from simulator.config import Config


SHOWN = 4  # numbers of an axis; of more, the first and the last


@dataclass(frozen=True)
class Figure:
    """One value of a config: as its file has it, in SI units, and where it comes from."""

    path: tuple[str, ...]
    written: Any
    value: Any
    role: str | None
    source: str | None
    note: str | None


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A machine, model, scenario, study or cost table, or requests.",
            show_default=False,
        ),
    ],
    other: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Another machine or model, to set beside.", show_default=False),
    ] = None,
    overrides: Overrides = None,
    skip_bad: SkipBad = False,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Of requests: draw them: .png, .svg or .pdf.")
    ] = None,
    json: Json = False,
) -> None:
    """Show a machine, model, scenario, study, cost table or requests, or two machines or models side by side.

    Its figures, where each comes from, and what they add up to. Of requests (a trace or a YAML): rates, lengths, and
    how much of the prompts came before.
    """
    from simulator.errors import ConfigError, one_of

    if other is not None:
        if overrides:
            raise ConfigError(path="--set", found="with two names", expected="one, of which it is")
        side_by_side(name, other, everything=True, json=json)
        return
    kind = kind_of(name)
    known: dict[str, Callable[[str, list[str]], tuple[dict[str, Any], RenderableType]]] = {
        "machine": _machine,
        "model": _model,
        "scenario": _scenario,
        "study": _study,
        "cost table": _costs,
        "runtime": _runtime,
        "requests": partial(_requests, skip_bad=skip_bad, output=output),
    }
    if kind not in known:
        raise ConfigError("there is nothing to show", found=f"{kind} in {name}", expected=one_of(known))
    if output is not None and kind != "requests":
        raise ConfigError("there is no picture of it", path="--output", found=f"a {kind}", expected="requests")
    document, shown = known[kind](name, overrides or [])
    if json:
        print_json({"kind": kind, **document})
    else:
        console().print(shown)


def _machine(name: str, overrides: list[str]) -> tuple[dict[str, Any], RenderableType]:
    from simulator import load_system

    system = load_system(name, overrides)
    tiers = {
        tier: {
            "kind": system.tiers[tier].kind,
            "count": system.count(tier),
            "capacity_bytes": system.capacity(tier),
            "bandwidth_bytes_per_s": system[tier].capacity * system.count(tier),
        }
        for tier in system.tiers
    }
    engines = {
        engine: {
            "kind": description.kind,
            "count": system.count(engine),
            "peak_flop_per_s": {dtype: rate * system.count(engine) for dtype, rate in description.peak.items()},
        }
        for engine, description in system.engines.items()
    }
    links = {
        link: {
            "count": system[link].count,
            "bandwidth_bytes_per_s": system[link].capacity * system[link].count,
            "latency_s": description.latency,
        }
        for link, description in system.links.items()
    }
    entries = figures(system.config, system.machine.model_dump())
    totals = {"tiers": tiers, "engines": engines, "links": links}
    document = {
        "name": system.name,
        "description": system.machine.description,
        "file": str(system.config.file),
        "totals": totals,
        "figures": documents(entries),
    }
    return document, _stacked(
        f"{system.name}: {system.machine.description} ({shown_path(system.config.file)})",
        _totals(totals),
        figure_table(entries),
        abbreviations(system.config),
    )


def _totals(totals: dict[str, Any]) -> Table:
    """What all devices and nodes have together."""
    from simulator.units import show

    table = table_of(["in all", "kind", "number", "capacity", "rate"], numbers=["number", "capacity", "rate"])
    for name, tier in totals["tiers"].items():
        capacity, bandwidth = show(tier["capacity_bytes"], "B"), show(tier["bandwidth_bytes_per_s"], "B/s")
        table.add_row(name, tier["kind"], str(tier["count"]), capacity, bandwidth)
    for name, engine in totals["engines"].items():
        for place, (dtype, rate) in enumerate(engine["peak_flop_per_s"].items()):
            first = (name, engine["kind"], str(engine["count"])) if place == 0 else ("", "", "")
            table.add_row(*first, dtype, show(rate, "FLOP/s"))
    for name, link in totals["links"].items():
        table.add_row(name, "link", str(link["count"]), "", show(link["bandwidth_bytes_per_s"], "B/s"))
    return table


def _model(name: str, overrides: list[str]) -> tuple[dict[str, Any], RenderableType]:
    from simulator import load_model
    from simulator.workload import kv_bytes_per_token, parameters, weight_bytes
    from simulator.workload.model.parameters import predicting_parameters, state_bytes

    model = load_model(name, overrides)
    counts = parameters(model)
    document: dict[str, Any] = {
        "name": model.name,
        "family": model.family,
        "source": model.source,
        "shape": model.model_dump(exclude={"name", "family", "source", "published", "not_modelled"}, exclude_none=True),
        "parameters": {**asdict(counts), "total": counts.total},
        "published_parameters": model.published.parameters if model.published else None,
        "weight_bytes": weight_bytes(model),
        "predicting_parameters": predicting_parameters(model),
        "kv_bytes_per_token": kv_bytes_per_token(model),
        "state_bytes_per_sequence": state_bytes(model),
        "not_modelled": list(model.not_modelled),
    }
    left = [f"not modelled: {', '.join(model.not_modelled)}"] if model.not_modelled else []
    return document, _stacked(
        f"{model.name}: {_what(document)}", _parameters(document), _shape(document["shape"]), *left,
        f"Source: {model.source}",
    )  # fmt: skip


def _what(model: dict[str, Any]) -> str:
    from simulator.units import show

    weights, kv = show(model["weight_bytes"], "B"), show(model["kv_bytes_per_token"], "B")
    state = model["state_bytes_per_sequence"]
    fixed = f", {show(state, 'B')} of state a sequence" if state else ""
    return f"{count_of(model['parameters']['total'])} parameters, {weights} of weights, {kv} of KV cache a token{fixed}"


def _parameters(model: dict[str, Any]) -> Table:
    """Parameters by class, and beside the published count."""
    table = table_of(["parameters", "number"], numbers=["number"])
    counts = model["parameters"]
    for name, count in counts.items():
        if count and name not in ("active", "total"):
            table.add_row(name, f"{count:,}")
    table.add_row("total", f"{counts['total']:,}", end_section=True)
    table.add_row("active for one token", f"{counts['active']:,}")
    if predicting := model["predicting_parameters"]:
        table.add_row("in layers that predict further tokens", f"{predicting:,}")
    if published := model["published_parameters"]:
        table.add_row("published", f"{published:,} ({counts['total'] / published - 1:+.3%})")
    return table


def _shape(shape: dict[str, Any]) -> Table:
    table = table_of(["shape", "value"])
    for key, value in shape.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for place, (name, figure) in enumerate(inner):
            if isinstance(figure, dict):
                figure = ", ".join(f"{k} {_text(v)}" for k, v in figure.items())
            table.add_row(key if place == 0 else "", f"{name} {_text(figure)}".strip())
    return table


def _scenario(name: str, overrides: list[str]) -> tuple[dict[str, Any], RenderableType]:
    from simulator.config import load
    from simulator.scenario.evaluate import located, read_scenario, with_root

    with located(name):
        form = read_scenario(name, [*map(with_root, overrides)])
    file, written = Path(name), form.written()
    sections = {key: getattr(form, key) for key in ("sized", "mapping", "workload")}
    checked = {**written, **{key: each.model_dump(mode="json") for key, each in sections.items() if each}}
    entries = figures(replace(load(name, "experiments"), data=written), checked)
    document = {"name": file.stem, "file": name, "figures": documents(entries)}
    return document, _stacked(f"{file.stem}: {written['workload']['kind']} ({shown_path(file)})", figure_table(entries))


def _study(name: str, overrides: list[str]) -> tuple[dict[str, Any], RenderableType]:
    from simulator.study.load import load_study

    study = load_study(name, overrides)
    form, config = study.form, study.config
    axes = [
        {
            "name": axis.name,
            "path": axis.path,
            "unit": axis.unit,
            "values": axis.values.tolist(),
            "when": axis.when.text if axis.when else None,
        }
        | ({"run": run} if form.runs else {})
        for run, problem in study.runs.items()
        for axis in problem.sweep.axes.values()
    ]
    rest = {key: value for key, value in config.data.items() if key not in ("title", "paper", "axes", "zip", "charts")}
    bases = {run: problem.sweep.base.model_dump(mode="json") for run, problem in study.runs.items()}
    checked = {"runs": bases} if form.runs else {"base": next(iter(bases.values()))}
    entries = figures(replace(config, data=rest), {**form.model_dump(mode="json"), **checked})
    document = {
        "name": config.file.parent.name if config.file.name == EXPERIMENT else config.file.stem,
        "title": form.title,
        "paper": form.paper,
        "file": str(config.file),
        "points": sum(problem.points for problem in study.runs.values()),
        "axes": axes,
        "figures": documents(entries),
    }
    title = f"{document['name']}: {form.title} ({document['points']:,} points; {shown_path(config.file)})"
    return document, _stacked(title, _axes(axes), figure_table(entries), abbreviations(config))


def _axes(axes: list[dict[str, Any]]) -> Table:
    """An axis a row, in the order in which they vary: the last fastest."""
    from simulator.units import show

    runs = ["run"] if "run" in axes[0] else []
    table = table_of([*runs, "axis", "number", "values", "path", "when"], numbers=["number"])
    for axis in axes:
        values, unit = axis["values"], axis["unit"] or "1"
        texts = [show(value, unit) if isinstance(value, float) else str(value) for value in values]
        ends = len(texts) > SHOWN and not isinstance(values[0], str)
        text = f"{texts[0]} .. {texts[-1]}" if ends else ", ".join(texts)
        table.add_row(
            *(axis[run] for run in runs), axis["name"], f"{len(texts):,}", text, axis["path"], axis["when"] or ""
        )
    return table


def _costs(name: str, overrides: list[str]) -> tuple[dict[str, Any], RenderableType]:
    from simulator.hardware.cost import load_costs

    costs = load_costs(name, overrides)
    entries = figures(costs.config, costs.table.model_dump())
    document = {
        "name": costs.table.name or costs.config.file.stem,
        "description": costs.table.description,
        "file": str(costs.config.file),
        "figures": documents(entries),
    }
    title = f"{document['name']}: {costs.table.description} ({shown_path(costs.config.file)})"
    return document, _stacked(title, figure_table(entries), abbreviations(costs.config))


def _runtime(name: str, overrides: list[str]) -> tuple[dict[str, Any], RenderableType]:
    from simulator.mapping.runtime.form import load_runtime

    software = load_runtime(name, overrides)
    entries = figures(software.config, software.runtime.model_dump())
    document = {
        "name": software.name,
        "description": software.runtime.description,
        "file": str(software.config.file),
        "figures": documents(entries),
    }
    title = f"{software.name}: {software.runtime.description} ({shown_path(software.config.file)})"
    return document, _stacked(title, figure_table(entries), abbreviations(software.config))


def _requests(
    name: str, overrides: list[str], skip_bad: bool, output: Path | None
) -> tuple[dict[str, Any], RenderableType]:
    from simulator.cli.requests import shown

    document, (title, *parts) = shown(name, overrides, skip_bad, output)
    return document, _stacked(title, *parts)


def figures(config: Config, checked: dict[str, Any]) -> list[Figure]:
    """Each value of a config, and in SI units as `checked` has it."""

    def walk(written: Any, value: Any, path: tuple[str, ...]) -> Iterator[Figure]:
        if isinstance(written, dict) and written:
            for key, inner in written.items():
                yield from walk(inner, value.get(key) if isinstance(value, dict) else None, (*path, key))
            return
        source = config.source(*path)
        origin = (source.role, source.text or None, source.note or None) if source else (None, None, None)
        yield Figure(path, written, value, *origin)

    return list(walk(config.data, checked, ()))


def documents(figures: list[Figure]) -> list[dict[str, Any]]:
    """Figures as plain data, with the path that `--set` takes."""
    from simulator.errors import dotted

    return [{**asdict(figure), "path": dotted(figure.path)} for figure in figures]


def figure_table(figures: list[Figure]) -> Table:
    """The figures as a tree: each key under the one that holds it."""
    table = table_of(["figure", "value", "role", "source"])
    above: tuple[str, ...] = ()
    for figure in figures:
        *holders, key = figure.path
        known = next((i for i, pair in enumerate(zip(above, figure.path, strict=False)) if len(set(pair)) > 1), 0)
        for level in range(known, len(holders)):
            table.add_row("  " * level + holders[level])
        written = figure.written
        value = "" if written == {} else _text(written)
        notes = "; ".join(filter(None, (figure.source, figure.note)))
        table.add_row("  " * len(holders) + key, value, role_text(figure.role or ""), notes)
        above = figure.path
    return table


def _text(value: Any, inside: bool = False) -> str:
    """A value as YAML has it in one line; of a list that is not `inside` of another value, the items alone."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(each, True)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        items = ", ".join(_text(each, True) for each in value)
        return f"[{items}]" if inside else items or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _stacked(title: str, *parts: RenderableType) -> Group:
    """Parts below one another, an empty line between them."""
    from rich.console import Group
    from rich.styled import Styled

    return Group(Styled(title, "bold"), *(shown for part in parts for shown in ("", part)))
