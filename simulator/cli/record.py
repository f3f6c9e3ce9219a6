"""`tiersim record`: which neurons a model activates, as a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cli.options import at_least_one, number
from simulator.cli.output import console
from simulator.files import read_text


def command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A Hugging Face model, by name or folder.", show_default=False)
    ],
    text: Annotated[Path, typer.Argument(metavar="TEXT", help="A file of text, read as UTF-8.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The NPZ to write.", show_default=False)],
    tokens: Annotated[
        int | None, typer.Option("--tokens", callback=at_least_one, help="At most so many of the text.")
    ] = None,
    threshold: Annotated[
        float,
        typer.Option("--threshold", min=0.0, callback=number, help="A neuron is active above this; 0 suits ReLU."),
    ] = 0.0,
) -> None:
    """Record which FFN neurons a model activates at each token of a text; needs the extra 'record'."""
    import simulator
    from simulator.workload.neurons.files import save_neurons

    trace = simulator.record(model, read_text(text), tokens, threshold)
    save_neurons(trace, output)
    active = sum(len(token) for layer in range(trace.layers) for token in trace.layer(layer))
    share = active / (trace.layers * trace.tokens * trace.neurons)
    console().print(
        f"{output}: {trace.tokens} tokens, {trace.layers} layers of {trace.neurons} neurons, {share:.2%} active"
    )
