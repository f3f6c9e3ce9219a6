"""`tiersim list`: the machines, models and experiments that are there."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.options import Json
from simulator.cli.output import console, count_of, print_json, table_of

if TYPE_CHECKING:
    from rich.table import Table


class Listed(StrEnum):
    """What can be listed."""

    HARDWARE = "hardware"
    MODELS = "models"
    EXPERIMENTS = "experiments"


def command(what: Annotated[Listed, typer.Argument(help="What to list.")], json: Json = False) -> None:
    """List machines, models or experiments."""
    rows, table = {
        Listed.HARDWARE: (_machines, _described),
        Listed.MODELS: (_models, _model_table),
        Listed.EXPERIMENTS: (_experiments, _described),
    }[what]
    found = rows()
    if json:
        print_json(found)
    else:
        console().print(table(found))


def _machines() -> list[dict[str, Any]]:
    from simulator import data
    from simulator.config import load

    configs = {name: load(name, "hwconfigs") for name in data.names("hwconfigs")}
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
                "attention": model.attention.kind,
                "heads": model.attention.heads,
                "kv_heads": model.attention.kv_heads,
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
    shown = [column for column in ("name", "description", "paper") if column in rows[0]] if rows else ["name"]
    table = table_of(shown)
    for row in rows:
        table.add_row(*(str(row[column]) for column in shown))
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
