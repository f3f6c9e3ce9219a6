"""`tiersim import-model`: a model YAML from a Hugging Face config, checked against the modules of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simulator.cli.output import console, count_of
from simulator.errors import ConfigError
from simulator.files import read_text


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A config.json, or its folder.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The YAML to write.", show_default=False)
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="What the model is called; of the file by default.")
    ] = None,
) -> None:
    """Write a model YAML from a Hugging Face config; needs the extra 'import'.

    Its modules are built on torch's meta device: no weight is loaded, nothing is downloaded, and code that comes with a
    config is not run. A module that a model YAML cannot express is named.
    """
    import simulator
    from simulator.workload import parameters
    from simulator.workload.model.imported import model_yaml

    file = config / "config.json" if config.is_dir() else config
    try:
        described = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise ConfigError(f"no JSON: {error.msg}", file=file, line=error.lineno) from None
    if not isinstance(described, dict):
        raise ConfigError(file=file, found="no mapping", expected="a config.json")
    model = simulator.import_model(described, name or output.stem)
    output.write_text(model_yaml(model.model_copy(update={"source": str(file)})), encoding="utf-8")
    console().print(f"{output}: {count_of(parameters(model).total)} parameters, as transformers builds them")
