"""What goes into a tower of images, and what comes out of it: patches, and the tokens that a language model reads."""

from __future__ import annotations

from simulator.core.resource import Quantity
from simulator.workload.model.tower import Projector
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT
from simulator.workload.operators.tape import Tape, Tensor


def patched(tape: Tape, patches: Quantity) -> Tensor:
    """The pixels of each patch in a projection, with the row of its position."""
    model = tape.model
    assert model.patches  # as its caller asks
    cut, elements = model.patches, patches * model.hidden
    pixels = Tensor(None, patches * cut.numbers * tape.bytes)
    x = tape.linear(
        "patch_embedding", pixels, rows=patches, n_in=cut.numbers, n_out=model.hidden, bias=cut.bias, split="none"
    )
    if cut.positions:
        row = elements * tape.stored.matrix("position_embedding").element_bytes
        x = tape.record(
            "position_embedding", "embedding", x, flops=elements * FLOPS_PER_ELEMENT["bias"],
            output=elements * tape.bytes, operands={"weight": row}, weights=elements,
        )  # fmt: skip
    return tape.norm("embedding_norm", x, rows=patches, width=model.hidden) if model.norm.embedding else x


def handed_on(tape: Tape, x: Tensor, patches: Quantity) -> Tensor:
    """The last norm and the projector, and the further ones of layers before, as one product a matrix."""
    model, projector = tape.model, tape.model.projector
    if model.norm.final:
        x = tape.norm("final_norm", x, rows=patches, width=model.hidden)
    if projector is None:
        return x
    if projector.norm == "patch":
        x = tape.norm("projector.norm", x, rows=patches, width=model.hidden)
    x = _merged(tape, x, patches, projector)
    rows, copies = patches / projector.merge, 1 + projector.taps
    if projector.norm == "merged" or projector.taps:
        number = projector.taps + (projector.norm == "merged")
        x = tape.norm("projector.merged_norm", x, rows=rows * number, width=projector.width(model.hidden))
    for place, (n_in, n_out) in enumerate(projector.matrices(model.hidden)):
        if place:
            x = tape.elementwise(f"projector.activation.{place}", "activation", "gelu", x)
        x = tape.linear(
            f"projector.{place}", x, rows=rows * copies, n_in=n_in, n_out=n_out, bias=projector.bias, matrices=copies,
            split="none", tensor="projector",
        )  # fmt: skip
    return x


def _merged(tape: Tape, x: Tensor, patches: Quantity, projector: Projector) -> Tensor:
    """Patches that are neighbours as one vector, by their mean or side by side."""
    elements = patches * tape.model.hidden
    if projector.merge == 1:
        return x
    if projector.pool:
        output = elements / projector.merge * tape.bytes
        return tape.record("projector.pool", "combine", x, flops=elements * FLOPS_PER_ELEMENT["add"], output=output)
    return tape.record("projector.merge", "gather", x, flops=0.0, output=elements * tape.bytes)
