"""`tiersim simulate`: run an experiment, or serve requests."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.mapping_options import with_mapping
from simulator.cli.options import Folder, Json, Overrides
from simulator.cli.output import console, print_json, progress, status
from simulator.cli.scenario import options_scenario
from simulator.errors import ConfigError
from simulator.files import replacement

if TYPE_CHECKING:
    from simulator.result import Result

MAPPING = ("devices", "engines", "context", "dtype", "kv", "runtime")
ROWS = "requests.parquet"
TRACES = (".csv", ".jsonl", ".parquet", ".json")
"""Endings of files that may have requests."""
SERIES = (".csv", ".parquet", ".png", ".svg", ".pdf")


@with_mapping(MAPPING)
def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[EXPERIMENT]",
            help="An experiment, by name or path; or a scenario of requests.",
            show_default=False,
        ),
    ] = None,
    hardware: Annotated[str | None, typer.Option("--hardware", help="A machine that serves requests.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model that it serves.")] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", help="A file of requests, in our form or a public one.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", help="What chooses requests: vllm-v1, sarathi, ...; the runtime's by default."),
    ] = None,
    replicas: Annotated[int | None, typer.Option("--replicas", min=1, help="Replicas behind a router.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out rows of the trace that are wrong.")] = False,
    timeline: Annotated[
        Path | None, typer.Option("--timeline", help="Write a JSON that ui.perfetto.dev opens.", show_default=False)
    ] = None,
    series: Annotated[
        list[Path] | None,
        typer.Option(
            "--series",
            help="Write what happens by window of time; as png, svg, pdf drawn.",
            show_default=False,
        ),
    ] = None,
    window: Annotated[
        str | None, typer.Option("--window", help="How long a window of the series is, as `60 s`.", show_default=False)
    ] = None,
    overrides: Overrides = None,
    output: Folder = None,
    json: Json = False,
    *,
    mapping: dict[str, Any],
) -> None:
    """Run an experiment and print its tables; or serve the requests of a trace or a scenario."""
    values = {
        "--hardware": hardware, "--model": model, "--trace": trace, "--scheduler": scheduler, "--timeline": timeline,
        "--series": series or None, "--window": window,
    }  # fmt: skip
    options = [option for option, value in values.items() if value is not None]
    _check(name, options, bool(mapping or replicas or skip_bad))
    if name is not None and not _is_scenario(name):
        import simulator

        with progress() as advance:
            result = simulator.simulate(name, overrides or (), lambda done, total: advance(name, done, total))
        _show(result, output, json)
        return
    chosen = {key: value for key, value in (("kind", scheduler), ("replicas", replicas)) if value is not None}
    section = {**mapping, **({"scheduler": chosen} if chosen else {})}
    work = {"kind": "requests", "trace": trace, "skip_bad": skip_bad or None} if name is None else {"trace": trace}
    with options_scenario(name, hardware, model, section, work, overrides or ()) as form:
        _serve(form, timeline, series or [], window, output, json)


def _check(name: str | None, options: list[str], others: bool) -> None:
    """Nothing where there is something to do, and the options go with it.

    Raises:
        ConfigError: options (or `others`) beside an experiment; neither; a file of requests in its place.
    """
    if name is None:
        if not options:
            expected = "an experiment, a scenario of requests, or --hardware and --model (and a --trace)"
            raise ConfigError(path="EXPERIMENT", found="nothing", expected=expected)
        return
    if (options or others) and not _is_scenario(name):
        raise ConfigError(path=(options or ["--set"])[0], found=f"with the experiment '{name}'", expected="a scenario")
    if Path(name).suffix in TRACES:
        raise ConfigError(path="EXPERIMENT", found=f"'{name}'", expected=f"an experiment; of requests: --trace {name}")


def _serve(
    form: Any, timeline: Path | None, series: list[Path], window: str | None, output: Path | None, json: bool
) -> None:
    """Serve requests, and write what each of them saw, and what happened when."""
    from simulator.scenario.requests.serve import serve

    width = _width(window, series)

    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    with status("served") as tell:
        result = serve(
            form, (), output / ROWS if output else None, timeline,
            lambda ended, now: tell(f"{ended:,} requests, {now:,.0f} s of service"), width or bool(series),
        )  # fmt: skip
    for file in series:
        _write_series(result.series, file)
    if output is not None:
        _write(result, output)
    if json:
        print_json(result.as_json())
        return
    from simulator.cli.served import view

    console().print(view(form, result))


def _width(window: str | None, series: list[Path]) -> float | None:
    """Seconds of a window; None where nobody says it.

    Raises:
        ConfigError: a window of no series or of no length; a file of an unknown kind.
    """
    from simulator.units import parse

    for file in series:
        if file.suffix not in SERIES:
            raise ConfigError(path="--series", found=f"'{file}'", expected=f"a file of {', '.join(SERIES)}")
    if window is None:
        return None
    if not series:
        raise ConfigError(path="--window", found=f"'{window}' without a series", expected="--series FILE beside it")
    seconds = parse(window, "s")
    if seconds <= 0:
        raise ConfigError(path="--window", found=f"'{window}'", expected="more than 0 s")
    return seconds


def _write_series(frame: Any, file: Path) -> None:
    if file.suffix in (".csv", ".parquet"):
        with replacement(file) as unfinished:
            frame.to_csv(unfinished, index=False) if file.suffix == ".csv" else frame.to_parquet(unfinished)
        return
    from simulator.report.series import draw

    draw(frame, file.stem, file)


def _is_scenario(name: str) -> bool:
    from simulator.cli.kind import kind_of

    return Path(name).is_file() and kind_of(name) == "scenario"


def _show(result: Result, output: Path | None, json: bool) -> None:
    if output is not None:
        _write(result, output)
    if json:
        print_json(result.as_json())
    else:
        console().print(result)


def _write(result: Result, folder: Path) -> None:
    """Each table as a CSV, and what they were made from: all of them under other names first."""
    from json import dumps

    provenance = {**result.provenance.as_dict(), "config": result.provenance.config}
    texts = {f"{name.partition(',')[0]}.csv": frame.to_csv(index=False) for name, frame in result.frames().items()}
    texts["provenance.json"] = dumps(provenance, indent=2) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for name, text in texts.items():
            stack.enter_context(replacement(folder / name)).write_text(text, encoding="utf-8")
