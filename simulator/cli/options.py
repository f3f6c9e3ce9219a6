"""The options that several commands have: one word for one thing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from simulator.errors import ConfigError, UnitError, described


class Phase(StrEnum):
    """What a pass computes."""

    PREFILL = "prefill"
    DECODE = "decode"


def at_least_one(parameter: typer.CallbackParam, value: int | None) -> int | None:
    """Check a count. Raises `ConfigError` that names the option."""
    if value is not None:
        from simulator.units import MOST_COUNT

        if not 1 <= value <= MOST_COUNT:
            expected = "1 or more" if value < 1 else f"at most {MOST_COUNT:,}"
            raise ConfigError(path=parameter.opts[0], found=described(value), expected=expected)
    return value


def number(parameter: typer.CallbackParam, value: float | None) -> float | None:
    """Check that a number is one. Raises `ConfigError` that names the option."""
    if value is not None:
        from simulator.units import parse

        try:
            parse(value, "1")
        except UnitError as error:
            error.path = parameter.opts[0]
            raise
    return value


def known_format(parameter: typer.CallbackParam, value: str | None) -> str | None:
    """Check a format of weights. Raises `ConfigError` that names the option."""
    if value is not None:
        from simulator.workload.formats.named import COMPUTING, computing

        try:
            computing(value)
        except ValueError as error:
            raise ConfigError(str(error), path=parameter.opts[0]) from None
        _expect(parameter, value, COMPUTING)
    return value


def known_kv(parameter: typer.CallbackParam, value: str | None) -> str | None:
    """Check a format of KV caches. Raises `ConfigError` that names the option."""
    if value is not None:
        from simulator.workload.formats.named import KV

        _expect(parameter, value, list(KV))
    return value


def known_number(parameter: typer.CallbackParam, value: str | None) -> str | None:
    """Check a number format. Raises `ConfigError` that names the option."""
    if value is not None:
        from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT

        _expect(parameter, value, list(BYTES_PER_ELEMENT))
    return value


def known_fusion(parameter: typer.CallbackParam, value: str | None) -> str | None:
    """Check a fusion mode. Raises `ConfigError` that names the option."""
    if value is not None:
        from simulator.scenario.runs import known_modes

        _expect(parameter, value, known_modes())
    return value


def _expect(parameter: typer.CallbackParam, value: str, known: list[str]) -> None:
    from simulator.config.choose import check_name

    check_name(value, known, parameter.opts[0])


Hardware = Annotated[str, typer.Option("--hardware", help="A machine, by name or path.", show_default=False)]
ModelName = Annotated[
    str, typer.Option("--model", help="A model, by name or path (config.json too).", show_default=False)
]
Batch = Annotated[int, typer.Option("--batch", callback=at_least_one, help="Sequences at once.")]
PhaseName = Annotated[Phase, typer.Option("--phase", help="Whole prompts, or one token each.")]
Context = Annotated[
    int, typer.Option("--context", callback=at_least_one, help="Tokens of each prompt, or in the cache.")
]
Fusion = Annotated[
    str | None,
    typer.Option(
        "--fusion",
        callback=known_fusion,
        help="unfused, conventional, streaming (of a dataflow engine) or whole; the engine's own by default.",
    ),
]
Devices = Annotated[
    int | None, typer.Option("--devices", callback=at_least_one, help="Devices that share the model; all by default.")
]
Dtype = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        metavar="FORMAT",
        callback=known_format,
        help="Format of weights, and what computes with them: bf16 (of all), fp8, w8a8, w4a16, awq, q4_k_m, ...; "
        "the model's by default.",
    ),
]
Kv = Annotated[
    str | None,
    typer.Option(
        "--kv",
        metavar="FORMAT",
        callback=known_kv,
        help="Format of the KV cache: fp8, int4, ...; the model's by default.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Of what is drawn at random.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Replace a figure; may be repeated.", show_default=False),
]
MachineOverrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Replace a figure of the machine, or of what else a scenario has: model.layers=2; may be repeated.",
        show_default=False,
    ),
]
Folder = Annotated[Path | None, typer.Option("--output", metavar="DIR", help="Write the results below this folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
ScenarioOnly = Annotated[bool, typer.Option("--scenario", help="Print the scenario as YAML, and evaluate nothing.")]
