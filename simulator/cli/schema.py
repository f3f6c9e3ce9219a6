"""`tiersim schema`: what an editor needs to know of the YAML that this program reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simulator.cli.output import console, print_json, shown_path


def command(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="A kind of YAML.", show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Write KIND.json, or those of all kinds, into this folder."),
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--reference", metavar="FILE", help="Write a page of Markdown about every key.")
    ] = None,
) -> None:
    """Print the JSON Schema of a kind of YAML; without a kind, list the kinds."""
    from simulator.files import replacement
    from simulator.study.schema import FORMS, json_schema

    if page is not None:
        from simulator.report.reference import reference

        with replacement(page) as file:
            file.write_text(reference(), encoding="utf-8")
        console().print(shown_path(page), soft_wrap=True)
    elif output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for each in [kind] if kind else FORMS:
            text = json.dumps(json_schema(each), indent=2) + "\n"
            with replacement(output / f"{each}.json") as file:
                file.write_text(text, encoding="utf-8")
            console().print(shown_path(output / f"{each}.json"), soft_wrap=True)
    elif kind is not None:
        print_json(json_schema(kind))
    else:
        typer.echo("\n".join(FORMS))
