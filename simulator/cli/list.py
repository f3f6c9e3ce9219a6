"""`tiersim list`: the machines, their parts, models, experiments, studies, runtimes and cost tables that are there."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.options import Json
from simulator.cli.output import console, count_of, print_json, shown_path, table_of

if TYPE_CHECKING:
    from rich.table import Table

    from simulator.workload import Model


class Listed(StrEnum):
    """What can be listed."""

    HARDWARE = "hardware"
    PARTS = "parts"
    MODELS = "models"
    EXPERIMENTS = "experiments"
    STUDIES = "studies"
    COSTS = "costs"
    RUNTIMES = "runtimes"


def command(
    what: Annotated[Listed, typer.Argument(help="What to list.")],
    tier: Annotated[
        str | None, typer.Option("--tier", metavar="KIND", help="Machines with a memory of this kind: hbm, lpddr, ...")
    ] = None,
    vendor: Annotated[str | None, typer.Option("--vendor", metavar="NAME", help="Machines of this vendor.")] = None,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Write a page of Markdown about all machines.")
    ] = None,
    json: Json = False,
) -> None:
    """List machines, their parts, models, experiments, studies, runtimes or cost tables."""
    if what is not Listed.HARDWARE:
        _check_none({"--tier": tier, "--vendor": vendor, "--page": page}, what)
    if page is not None:
        _write(page)
        return
    listings: dict[Listed, tuple[Callable[[], list[dict[str, Any]]], Callable[[list[dict[str, Any]]], Table]]] = {
        Listed.HARDWARE: (partial(_machines, tier, vendor), _machine_table),
        Listed.PARTS: (partial(_files, "hwconfigs/parts"), _described),
        Listed.MODELS: (_models, _model_table),
        Listed.EXPERIMENTS: (_experiments, _described),
        Listed.STUDIES: (_studies, _described),
        Listed.COSTS: (partial(_files, "hwconfigs/costs"), _described),
        Listed.RUNTIMES: (partial(_files, "hwconfigs/runtimes"), _described),
    }
    rows, table = listings[what]
    entries = rows()
    if json:
        print_json(entries)
    else:
        console().print(table(entries))


def _check_none(options: dict[str, Any], what: Listed) -> None:
    """ConfigError for options of machines that lists of other things have not."""
    from simulator.errors import ConfigError

    for option, value in options.items():
        if value is not None:
            raise ConfigError(path=option, found=f"with {what.value}", expected="hardware, of which it is")


def _write(page: Path) -> None:
    from simulator.files import replacement
    from simulator.report.machines import page as made

    with replacement(page) as file:
        file.write_text(made(), encoding="utf-8")
    console().print(shown_path(page), soft_wrap=True)


def _machines(tier: str | None, vendor: str | None) -> list[dict[str, Any]]:
    from simulator.report.machines import machines

    return machines(tier, vendor)


def _machine_table(rows: list[dict[str, Any]]) -> Table:
    from simulator.report.machines import cells

    shown = [cells(row) for row in rows]
    columns = list(shown[0]) if shown else ["name"]
    table = table_of(columns, numbers=["year", "devices", "peak", "bandwidth", "capacity"])
    for row in shown:
        table.add_row(*row.values())
    return table


def _files(folder: str) -> list[dict[str, Any]]:
    """What a folder has, as each describes itself."""
    from simulator import data
    from simulator.config import load

    configs = {name: load(name, folder) for name in data.names(folder)}
    return [
        {"name": name, "description": config.data.get("description", ""), "file": str(config.file)}
        for name, config in configs.items()
    ]


def _experiments() -> list[dict[str, Any]]:
    from simulator import data
    from simulator.config import load

    configs = {name: load(name, "experiments") for name in data.names("experiments")}
    return [
        {
            "name": name,
            "description": config.data.get("title", ""),
            "paper": config.data.get("paper", ""),
            "file": str(config.file),
        }
        for name, config in configs.items()
    ]


def _studies() -> list[dict[str, Any]]:
    from simulator import data
    from simulator.study.load import load_study

    loaded = {name: load_study(name) for name in data.names("experiments")}
    return [
        {
            "name": name,
            "title": study.form.title,
            "points": sum(run.points for run in study.runs.values()),
            "file": str(study.config.file),
        }
        for name, study in loaded.items()
    ]


def _models() -> list[dict[str, Any]]:
    from simulator import data, load_model
    from simulator.workload import kv_bytes_per_token, parameters, weight_bytes

    rows = []
    for name in data.names("workloads/models"):
        model = load_model(name)
        counts = parameters(model)
        rows.append(
            {
                "name": name,
                "parameters": counts.total,
                "active_parameters": counts.active,
                "layers": model.layers,
                "hidden": model.hidden,
                "attention": _attention(model),
                "heads": model.attention.heads if model.attention else None,
                "kv_heads": model.attention.kv_heads if model.attention else None,
                "kv_bytes_per_token": kv_bytes_per_token(model),
                "experts": model.moe.experts if model.moe else None,
                "top_k": model.moe.top_k if model.moe else None,
                "max_context": model.max_context,
                "dtype": model.dtypes.weights,
                "weight_bytes": weight_bytes(model),
            }
        )
    return rows


def _described(rows: list[dict[str, Any]]) -> Table:
    wanted = ("name", "description", "paper", "title", "points")
    shown = [column for column in wanted if column in rows[0]] if rows else ["name"]
    table = table_of(shown, numbers=["points"])
    for row in rows:
        table.add_row(*(f"{row[column]:,}" if column == "points" else str(row[column]) for column in shown))
    return table


def _model_table(rows: list[dict[str, Any]]) -> Table:
    """In 80 columns; attention, active parameters and the rest are in the document and in `tiersim show`."""
    from simulator.units import show

    table = table_of(
        ["name", "params", "weights", "dtype", "layers", "KV/token", "experts", "context"],
        numbers=["params", "weights", "layers", "KV/token", "experts", "context"],
    )
    for row in rows:
        table.add_row(
            row["name"],
            count_of(row["parameters"]),
            show(row["weight_bytes"], "B"),
            row["dtype"],
            str(row["layers"]),
            show(row["kv_bytes_per_token"], "B"),
            f"{row['top_k']} of {row['experts']}" if row["experts"] else "",
            f"{row['max_context']:,}",
        )
    return table


def _attention(model: Model) -> str:
    """What mixes tokens in its layers: `mla`, `gqa linear`, `mamba2`."""
    kinds = dict.fromkeys(getattr(mixer, "kind", "linear") for layer, _ in model.kinds for mixer in layer.mixers)
    return " ".join(kinds)
