"""`tiersim requests`: requests that are drawn, or recorded in some form, as a file in ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.options import Overrides
from simulator.cli.output import console, table_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from simulator.workload.requests.request import Stream
    from simulator.workload.requests.summary import Summary

SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Of requests: count rows that are wrong, and go on.")]


def command(
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="Write .csv or .parquet.")],
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A trace in a form that is known, or a YAML.", show_default=False),
    ] = "",
    overrides: Overrides = None,
    skip_bad: SkipBad = False,
) -> None:
    """Write requests in our form: drawn by laws, or from a trace.

    A trace keeps its times unless --set says otherwise: 'arrivals={kind: recorded, speed: 2}', 'requests=1000'. Without
    one, --set says all: 'requests=1000', 'arrivals={kind: poisson, rate: 2}', 'lengths={kind: fixed, input: 1000,
    output: 250}', 'sessions={turns: 4}'.
    """
    from simulator import load_requests, write_requests

    requests = load_requests(source, [*(overrides or []), *(["skip_bad=true"] if skip_bad else [])])
    number = write_requests(requests, output)
    out = console()
    out.print(f"{output}: {number:,} requests", soft_wrap=True)
    for line in left_out(requests.left_out):
        out.print(line, soft_wrap=True)


def stream(name: str, overrides: list[str], skip_bad: bool) -> tuple[Stream, str]:
    """The requests of a trace or a YAML, and the form in which they are; a trace without times has none here."""
    from simulator import load_requests
    from simulator.workload.requests.load import YAML
    from simulator.workload.requests.request import Stream
    from simulator.workload.requests.trace import open_trace

    if Path(name).suffix.lower() in YAML:
        return load_requests(name, overrides), "drawn"
    trace = open_trace(name, skip_bad)
    if overrides:
        return load_requests(name, [*overrides, *(["skip_bad=true"] if skip_bad else [])]), trace.form
    return Stream(trace.batches, left_out=trace.left_out), trace.form


def one_line(requests: Summary, form: str) -> str:
    """Requests in a line."""
    times = f" over {requests.span_s:,.4g} s, {requests.rate:,.3g}/s" if requests.rate else ", no times between them"
    lengths = f"mean {requests.input.mean:,.0f} tokens in and {requests.output.mean:,.0f} out"
    reused = "" if requests.reused is None else f", {requests.reused:.1%} of prompts seen before"
    line = f"{requests.requests:,} requests ({form}){times}; {lengths}{reused}"
    return "; ".join([line, *left_out(requests.left_out)])


def left_out(reasons: Mapping[str, int]) -> list[str]:
    """How many rows were left out, by the reason."""
    return [f"left out {number:,}: {reason}" for reason, number in reasons.items()]


def tables(requests: Summary) -> list[Table]:
    """Rates, and lengths."""
    rates = table_of(["requests", "sessions", "span", "rate", "busiest", "gaps", "prompts seen before"])
    rates.add_row(
        f"{requests.requests:,}",
        f"{requests.sessions:,}" if requests.sessions else "",
        f"{requests.span_s:,.6g} s",
        f"{requests.rate:,.4g}/s" if requests.rate else "",
        f"{requests.peak:.3g} x mean, over {requests.bin_s:g} s" if requests.peak else "",
        "" if requests.gap_variation is None else f"deviation {requests.gap_variation:.3g} x mean",
        "" if requests.reused is None else f"{requests.reused:.2%}",
    )
    columns = list(requests.input.as_json())
    lengths = table_of(["tokens", *columns], numbers=columns)
    for name, counts in (("prompt", requests.input), ("answer", requests.output)):
        lengths.add_row(name, *(f"{value:,.6g}" for value in counts.as_json().values()))
    return [rates, lengths]


def shown(name: str, overrides: list[str], skip_bad: bool, output: Path | None) -> tuple[dict[str, Any], list[Any]]:
    """What `tiersim show` says of requests: a document and what is printed; drawn where there is an `output`."""
    from simulator.workload.requests.summary import summary

    requests, form = stream(name, overrides, skip_bad)
    result = summary(requests)
    if output is not None:
        from simulator.report.requests import draw

        draw(result, f"{Path(name).name} ({form})", output)
    document = {"name": name, "form": form, **result.as_json()}
    return document, [f"{name} ({form})", *tables(result), *left_out(result.left_out)]
