"""The operators of linear attention and of state spaces: projections, a short convolution, the scan of the state.

A state has a fixed size, so that a token costs the same at any context. A new token of a sequence changes the state by
itself; a prompt is computed in chunks of C tokens, each as small products (SSD, arXiv 2405.21060, section 6; the WY
form of delta rules, arXiv 2412.06464, section 3.3), so that the state crosses memory once a prompt.
"""

from __future__ import annotations

from simulator.core.resource import Quantity
from simulator.workload.batch import Batch
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT
from simulator.workload.model.recurrent import LinearAttention, StateSpace
from simulator.workload.model.weights import linear_projections, space_projections
from simulator.workload.operators.attend import Phase, phases
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT, Operand, Split
from simulator.workload.operators.tape import Tape, Tensor


def linear_attention(tape: Tape, x: Tensor, batch: Batch, a: LinearAttention) -> Tensor:
    """Linear attention of the normalised `x`, from projections to output projection."""
    each = phases(batch)
    tokens: Quantity = sum((phase.tokens for phase in each), start=0.0)
    widths = {name: (n_in, n_out) for name, n_in, n_out in linear_projections(a, tape.model.hidden)}

    def project(name: str, source: Tensor, split: Split = "columns") -> Tensor:
        n_in, n_out = widths[name]
        return tape.linear(f"linear.{name}_proj", source, rows=tokens, n_in=n_in, n_out=n_out, split=split)

    qkv = project("qkv", x)
    inputs = [_conv(tape, "linear", qkv, each, a.mixed_width, a.conv) if a.conv else qkv]
    if a.rule == "delta":
        rank = project("decay_a", x, "none") if a.decay_rank else None
        decay = project("decay_b", rank) if rank else project("decay", x)
        numbers = a.key_width if a.decay_rank else a.value_heads
        vectors = tape.stored.vector_bytes * (a.value_heads + numbers)
        inputs += [_decay(tape, "linear", decay, tokens * numbers, vectors), project("beta", x)]
    scanned = [_scan(tape, "linear", phase, inputs, a.value_width, _linear_flops(a, phase), a) for phase in each]
    rows, width = (tokens * a.value_heads, a.value_dim) if a.norm == "head" else (tokens, a.value_width)
    out = tape.norm("linear.out_norm", *scanned, rows=rows, width=width, split="heads")
    if a.gate:
        gate = project("gate_b", project("gate_a", x, "none")) if a.gate_rank else project("gate", x)
        out = tape.elementwise("linear.multiply", "multiply", "silu", out, gate, split="heads")
    n_in, n_out = widths["o"]
    return tape.linear("linear.o_proj", out, rows=tokens, n_in=n_in, n_out=n_out, split="rows")


def _linear_flops(a: LinearAttention, phase: Phase) -> Quantity:
    """FLOPs of the states of all heads, for the new tokens of a phase.

    One token: to decay `S`, to add `k v^T` and to read `q S` take `5 key_dim value_dim`; a delta rule reads `k S` too,
    2 more. In chunks of C: `q k^T` and its product with values, `2 C (key_dim + value_dim)`, `q S` and `k v^T`,
    4 key_dim value_dim; a delta rule also `k k^T`, the inverse of its triangle and its products with keys and values,
    `2 C (2 key_dim + value_dim) + 2 C^2 / 3`, and `k S`, 2 more.
    """
    k, v, c, delta = a.key_dim, a.value_dim, a.chunk, a.rule == "delta"
    if phase.name == "decode":
        each: float = (5 + 2 * delta) * k * v
    else:
        each = 2 * c * (k + v) + (4 + 2 * delta) * k * v + delta * (2 * c * (2 * k + v) + 2 * c * c / 3)
    return phase.tokens * a.value_heads * each


def state_space(tape: Tape, x: Tensor, batch: Batch, s: StateSpace) -> Tensor:
    """A state space over the normalised `x`, from projection in to projection out."""
    each = phases(batch)
    tokens: Quantity = sum((phase.tokens for phase in each), start=0.0)
    both = tape.linear(
        "space.in_proj", x, rows=tokens, n_in=tape.model.hidden, n_out=s.in_width, bias=s.bias, split="columns"
    )
    of = _convolved if s.kind == "conv" else _selected
    return tape.linear(
        "space.out_proj", of(tape, both, tokens, each, s), rows=tokens, n_in=s.inner, n_out=tape.model.hidden,
        bias=s.bias, split="rows",
    )  # fmt: skip


def _convolved(tape: Tape, both: Tensor, tokens: Quantity, each: list[Phase], s: StateSpace) -> Tensor:
    """A convolution of what one gate multiplies, multiplied by another."""
    size = tokens * s.inner
    gated = tape.record(
        "space.gate", "multiply", both, flops=size * FLOPS_PER_ELEMENT["multiply"], output=size * tape.bytes,
        split="heads",
    )  # fmt: skip
    mixed = _conv(tape, "space", gated, each, s.mixed_width, s.conv, s.conv_bias)
    gate = Tensor(both.producer, size * tape.bytes)
    return tape.elementwise("space.multiply", "multiply", "multiply", mixed, gate, split="heads")


def _selected(tape: Tape, both: Tensor, tokens: Quantity, each: list[Phase], s: StateSpace) -> Tensor:
    """What the state gives of a convolution, gated."""
    widths = {name: (n_in, n_out) for name, n_in, n_out in space_projections(s, tape.model.hidden)}
    mixed = _conv(tape, "space", both, each, s.mixed_width, s.conv, s.conv_bias)
    inputs, vectors = [mixed], tape.stored.vector_bytes * 3 * (s.heads or 0)
    if s.kind == "mamba":  # step size, and what enters and leaves the state, come of what is mixed
        step = tape.linear("space.x_proj", mixed, rows=tokens, n_in=widths["x"][0], n_out=widths["x"][1], split="rows")
        tape.all_reduce(step)
        step = tape.linear("space.dt_proj", step, rows=tokens, n_in=widths["dt"][0], n_out=widths["dt"][1])
        inputs, vectors = [mixed, step], tape.stored.vector_bytes * s.inner * (s.state + 2)
    decay = _decay(tape, "space", inputs[-1], tokens * (s.heads or s.inner), vectors)
    scanned = [_scan(tape, "space", phase, [mixed, decay], s.inner, _space_flops(s, phase), s) for phase in each]
    size = tokens * s.inner
    out = tape.record(
        "space.multiply", "multiply", *scanned, Tensor(both.producer, size * tape.bytes),
        flops=size * FLOPS_PER_ELEMENT["silu"], output=size * tape.bytes, split="heads",
    )  # fmt: skip
    if s.norm and s.kind == "mamba2":
        out = tape.norm("space.out_norm", out, rows=tokens, width=s.inner, split="heads")
    return out


def _space_flops(s: StateSpace, phase: Phase) -> Quantity:
    """FLOPs of the state, for the new tokens of a phase.

    One token: `h = a h + b x`, `y = c h`, 5 a number of the state; `mamba` has an exponential each too. In chunks of C
    (`mamba2` alone): `c b^T` a group, `2 C state`; its product with `x`, `2 C` a channel; `b x` and `c h`, 4 a number.
    """
    numbers = s.inner * s.state
    if s.kind == "mamba" or phase.name == "decode":
        return phase.tokens * numbers * (5 + (s.kind == "mamba"))
    return phase.tokens * (2 * s.chunk * (s.groups * s.state + s.inner) + 4 * numbers)


def _conv(tape: Tape, part: str, x: Tensor, each: list[Phase], width: int, taps: int, bias: bool = False) -> Tensor:
    """A causal convolution a channel, of `taps` tokens, and its activation; the inputs of the last are a state."""
    tokens: Quantity = sum((phase.tokens for phase in each), start=0.0)
    sequences: Quantity = sum((phase.sequences for phase in each), start=0.0)
    state = sequences * (taps - 1) * width * tape.bytes
    weights = (taps + bias) * width
    size = tokens * width * tape.bytes
    return tape.record(
        f"{part}.conv", "conv", Tensor(x.producer, size), flops=tokens * width * (2 * taps + FLOPS_PER_ELEMENT["silu"]),
        output=size, weights=weights, split="heads",
        operands={"weight": weights * tape.stored.vector_bytes, **_state(tape, state)},
    )  # fmt: skip


def _decay(tape: Tape, part: str, x: Tensor, numbers: Quantity, vectors: float) -> Tensor:
    """How much of the state is kept: `exp(-exp(A) softplus(x + bias))`."""
    return tape.record(
        f"{part}.decay", "activation", Tensor(x.producer, numbers * tape.bytes),
        flops=numbers * FLOPS_PER_ELEMENT["decay"], output=numbers * tape.bytes,
        operands={"weight": vectors}, weights=vectors / tape.stored.vector_bytes, split="heads",
    )  # fmt: skip


def _scan(
    tape: Tape, part: str, phase: Phase, inputs: list[Tensor], width: int, flops: Quantity,
    mixer: LinearAttention | StateSpace,
) -> Tensor:  # fmt: skip
    """What the tokens of a phase read of the state that they change; it is read and written once a sequence."""
    number = mixer.state if isinstance(mixer, LinearAttention) else mixer.format
    state = phase.sequences * mixer.state_size * BYTES_PER_ELEMENT[number]
    return tape.record(
        f"{part}.scan.{phase.name}", "scan", *inputs, flops=flops, output=phase.tokens * width * tape.bytes,
        operands=_state(tape, state), split="heads", phase=phase.name,
    )  # fmt: skip


def _state(tape: Tape, size: Quantity) -> dict[Operand, Quantity]:
    """Bytes of a state that are read and written, where sequences go on."""
    return {"kv_read": size, "kv_write": size} if tape.cached else {}
