"""`tiersim operator`: the time of a GEMM, of attention, experts, rows, a collective or a copy, by its shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.mapping_options import option_of
from simulator.cli.options import Hardware, Json, MachineOverrides, at_least_one
from simulator.cli.output import console, print_json, shown_path, table_of
from simulator.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

SHOWN = 20
"""Shapes of a file that are shown in the terminal."""


def _size(name: str, text: str) -> Any:
    return typer.Option(f"--{name}", callback=at_least_one, help=text, show_default=False)


def _text(name: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(f"--{name}", help=text, metavar=metavar, show_default=False)


KINDS = "gemm, attention_prefill_causal, attention_decode, mla_decode, moe_ffn, rms_norm, all_reduce, copy, ..."
NOT_SIZES = ("op", "hardware", "dtype", "runtime", "calibration", "shapes", "output", "overrides", "json", "size")


def command(
    context: typer.Context,
    op: Annotated[str, typer.Argument(metavar="OP", help=KINDS, show_default=False)],
    hardware: Hardware,
    dtype: Annotated[str, typer.Option("--dtype", help="Format of the operands: bf16, fp8, fp8_block, ...")] = "bf16",
    runtime: Annotated[str | None, _text("runtime", "The program whose kernels run it.")] = None,
    calibration: Annotated[str | None, _text("calibration", "Constants of kernels, by name or path.")] = None,
    m: Annotated[int | None, _size("m", "Rows of the first operand; tokens; rows.")] = None,
    n: Annotated[int | None, _size("n", "Columns of the second operand; width of an expert; elements.")] = None,
    k: Annotated[int | None, _size("k", "What a product sums over; hidden size.")] = None,
    batch: Annotated[int | None, _size("batch", "Sequences, or products.")] = None,
    heads: Annotated[int | None, _size("heads", "Query heads.")] = None,
    kv_heads: Annotated[int | None, _size("kv-heads", "Heads of keys and values.")] = None,
    head_dim: Annotated[int | None, _size("head-dim", "Elements of a head.")] = None,
    seq_q: Annotated[int | None, _size("seq-q", "Queries of a sequence.")] = None,
    seq_kv: Annotated[int | None, _size("seq-kv", "Keys of a sequence.")] = None,
    window: Annotated[int | None, _size("window", "Keys that a query sees at most.")] = None,
    kv_dtype: Annotated[str | None, _text("kv-dtype", "Format of the KV cache.")] = None,
    latent: Annotated[int | None, _size("latent", "Elements of the latent of MLA.")] = None,
    rope: Annotated[int | None, _size("rope", "Elements of a key of MLA that are rotated.")] = None,
    absorbed: Annotated[
        bool | None, typer.Option("--absorbed/--expanded", help="How MLA reads its latent.", show_default=False)
    ] = None,
    decodes: Annotated[int | None, _size("decodes", "Sequences that decode, of attention_mixed.")] = None,
    decode_kv: Annotated[int | None, _size("decode-kv", "Keys of each of them.")] = None,
    experts: Annotated[int | None, _size("experts", "Routed experts of the layer; products of a grouped_gemm.")] = None,
    top_k: Annotated[int | None, _size("top-k", "Experts that a token picks.")] = None,
    tp: Annotated[int | None, _size("tp", "Devices that share the width of an expert.")] = None,
    ep: Annotated[int | None, _size("ep", "Devices that share the experts.")] = None,
    distribution: Annotated[str | None, _text("distribution", "balanced, or power_law_1.2.")] = None,
    size: Annotated[str | None, _text("bytes", "Payload of one rank; of a copy: '4 MiB'.")] = None,
    n_devices: Annotated[int | None, _size("devices", "Devices of a collective.")] = None,
    nodes: Annotated[int | None, _size("nodes", "Nodes of a collective.")] = None,
    shapes: Annotated[
        Path | None, _text("shapes", "Many shapes: a CSV or Parquet with a column a size.", "FILE")
    ] = None,
    output: Annotated[Path | None, _text("output", "Write the times as CSV or Parquet.", "FILE")] = None,
    overrides: MachineOverrides = None,
    json: Json = False,
) -> None:
    """Time an operator on a GPU by its shape, with what binds and the roofline beside."""
    sizes = _sizes(context.params, size, shapes)
    _show(op, hardware, sizes, output, json, dtype, runtime, calibration, overrides or ())


def _sizes(params: Mapping[str, Any], size: str | None, shapes: Path | None) -> dict[str, Any]:
    """The sizes that were given, as options or in a file."""
    from simulator.units import parse

    sizes = {name: value for name, value in params.items() if value is not None and name not in NOT_SIZES}
    sizes |= {} if size is None else {"bytes": parse(size, "B")}
    return sizes | ({} if shapes is None else _columns(shapes))


def _show(
    op: str, hardware: str, sizes: Mapping[str, Any], output: Path | None, json: bool, dtype: str,
    runtime: str | None, calibration: str | None, overrides: Sequence[str],
) -> None:  # fmt: skip
    import simulator

    try:
        result = simulator.operator(
            op, hardware, dtype=dtype, runtime=runtime, calibration=calibration, overrides=overrides, **sizes
        )
    except ConfigError as error:
        section, *key = error.path.split(".") if isinstance(error.path, str) else map(str, error.path or ("",))
        if error.file is None and key and section in ("workload", "mapping"):
            error.path = option_of(key)
        raise
    if output is not None:
        _write(result.rows, output)
    if json:
        print_json(result.as_json())
        return
    console().print(_table(result.rows.head(SHOWN)))
    if output is not None:
        console().print(shown_path(output), soft_wrap=True)
    elif len(result.rows) > SHOWN:
        typer.echo(f"{len(result.rows) - SHOWN:,} more; --output writes all, and so does --json", err=True)


def _columns(file: Path) -> dict[str, Any]:
    """The sizes of a file of shapes, a column each."""
    import pandas as pd

    try:
        frame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", file=file) from None
    if frame.empty:
        raise ConfigError("no rows", file=file, expected="a shape each")
    for name in frame:
        numbers = pd.to_numeric(frame[name], errors="coerce")
        wrong = numbers.isna() | (numbers < 1)
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            found = f"'{frame[name].iloc[row]}'"
            raise ConfigError(file=file, line=row + 2, path=str(name), found=found, expected="a number, 1 or more")
    return {str(name): frame[name].to_numpy() for name in frame}


def _write(rows: pd.DataFrame, file: Path) -> None:
    from simulator.files import replacement

    with replacement(file) as place:
        if file.suffix == ".parquet":
            rows.to_parquet(place, index=False)
        else:
            rows.to_csv(place, index=False, lineterminator="\n")


def _table(rows: pd.DataFrame) -> Table:
    from simulator.scenario.evaluators.operators import OperatorsEvaluator
    from simulator.units import show

    units = {each.name: each.unit for each in OperatorsEvaluator.metrics}
    names = [str(name) for name in rows]
    table = table_of(names, numbers=[name for name in names if units.get(name, "1")])
    for row in rows.to_dict("records"):
        table.add_row(*(_shown(row[name], units.get(name), show) for name in names))
    return table


def _shown(value: Any, unit: str | None, show: Any) -> str:
    if unit is None:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return str(show(float(value), unit)) if unit else str(value)
