"""Single operators on a GPU by their shapes, with what binds and the roofline beside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, NoReturn

import numpy as np

from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.hardware.system import varies
from simulator.mapping.compose import LIBRARIES
from simulator.mapping.gpu.calibration import Constants, Known, constants, known_of, rows_of, times
from simulator.mapping.gpu.chip import Chip, chip_of
from simulator.mapping.gpu.copy import COPY, copy_roofline
from simulator.mapping.gpu.kernel import Array, GpuKernel, Shapes, bound_by
from simulator.mapping.gpu.kernels import kernel_of
from simulator.mapping.gpu.products import COMPUTES
from simulator.mapping.runtime.form import load_runtime
from simulator.registry import register
from simulator.scenario.cases import Columns
from simulator.scenario.evaluator import no_plan
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import at_key, machine
from simulator.units import Bytes, Count, Seed, Width

SHAPES: Mapping[str, tuple[str, ...]] = {
    "gemm": ("m", "n", "k", "batch", "heads", "experts"),
    "attention_prefill": ("batch", "heads", "kv_heads", "head_dim", "seq_q", "seq_kv", "window", "kv_dtype"),
    "attention_decode": ("batch", "heads", "kv_heads", "head_dim", "seq_kv", "window", "kv_dtype"),
    "attention_mixed": (
        "batch",
        "heads",
        "kv_heads",
        "head_dim",
        "seq_q",
        "seq_kv",
        "window",
        "kv_dtype",
        "decodes",
        "decode_kv",
    ),
    "moe": ("m", "n", "k", "experts", "top_k", "tp", "ep", "matrices", "distribution", "seed"),
    "mla_prefill": ("batch", "heads", "seq_q", "seq_kv", "latent", "rope", "head_dim", "absorbed", "kv_dtype"),
    "mla_decode": ("batch", "heads", "seq_kv", "latent", "rope", "head_dim", "absorbed", "kv_dtype"),
    "row_wise": ("m", "n"),
    "collective": ("bytes", "n_devices", "nodes"),
    "exchange": ("m", "k", "top_k", "n_devices"),
    "copy": ("bytes",),
}
"""What a shape of each class may have."""
MIXED = "attention_mixed"
TEXTS = ("kv_dtype", "distribution")


class Operators(Workload):
    """One operator of a shape; a study, or columns of cases, ask for many."""

    kind: Literal["operators"]
    op: str = "gemm"
    """`gemm`, `batched_gemm`, `grouped_gemm`, `attention_prefill`, `attention_prefill_causal`, `attention_decode`,
    `attention_mixed` (a batch of chunks and of decodes), `mla_prefill`, `mla_decode`, `moe_ffn`, a row-wise one
    (`rms_norm`, `softmax`, `silu_and_mul`, ...), a collective (`all_reduce`, ...), the all-to-all of experts
    (`moe_dispatch`, `moe_combine`; `_ll` behind it, of low latency), or a copy (`copy`, within memory; `copy_peer`,
    `copy_host_to_device`, `copy_device_to_host`)."""
    dtype: str = "bf16"
    """The format of the operands: `bf16`, `fp8`, `fp8_block` (one scale a block), ..."""
    m: Count | None = None
    """Rows of the first operand; tokens of experts; rows of a row-wise operator."""
    n: Count | None = None
    """Columns of the second operand; the width of a whole expert; elements of a row."""
    k: Count | None = None
    """What the product sums over; the hidden size of experts."""
    batch: Count | None = None
    """Sequences; of a `batched_gemm`, products in one kernel, of another, kernels one after another."""
    heads: Count | None = None
    """Query heads; of a `batched_gemm`, times its batch."""
    kv_heads: Count | None = None
    """Heads of keys and values; as many as heads unless given."""
    head_dim: Count | None = None
    """Elements of a head."""
    seq_q: Count | None = None
    """Queries of a sequence."""
    seq_kv: Count | None = None
    """Keys of a sequence, those of its queries with them; in prefill as many as queries unless given."""
    window: Width | None = None
    """How many keys a query sees at most; null or 0: all before it."""
    kv_dtype: str | None = None
    """The format of the KV cache; that of the operands unless given."""
    latent: Count | None = None
    """Elements of the latent of MLA, keys and values in one; 512 unless given."""
    rope: Count | None = None
    """Elements of a key of MLA that are rotated, the same for all heads; 64 unless given."""
    absorbed: bool | None = None
    """Whether MLA reads the latent as it is, or expands it to keys and values of each head; in decode, as it is."""
    decodes: Count | None = None
    """Of `attention_mixed`: sequences that decode a token, beside `batch` chunks of `seq_q` queries."""
    decode_kv: Count | None = None
    """Of `attention_mixed`: the keys of each of them."""
    experts: Count | None = None
    """Routed experts of the layer, on all devices."""
    top_k: Count | None = None
    """Experts that a token picks."""
    matrices: Literal[2, 3] | None = None
    """Matrices of an expert: 3 with a gate, as there are unless given, or 2."""
    tp: Count | None = None
    """Devices that share the width of an expert."""
    ep: Count | None = None
    """Devices that share the experts."""
    distribution: str = "balanced"
    """How tokens choose experts: `balanced`, or `power_law_1.2` with its exponent."""
    seed: Seed = 0
    """Of what is drawn of it."""
    bytes: Bytes | None = None
    """The payload of one rank."""
    n_devices: Count | None = None
    """Devices that take part."""
    nodes: Count | None = None
    """Nodes that they are of; one for each 8 unless given."""


@register("evaluator", "operators")
class OperatorsEvaluator:
    """Times operators by the models of `mapping/gpu`, with the constants of a calibration or of the family.

    `roofline_s`: the longer of FLOPs at the peak and bytes at the bandwidth of DRAM (of a collective, of the link).
    `bound_by`: the part that takes longest. `expected_error`: the median error that the constants were seen to have on
    shapes that they were not fitted to; NaN where they have none.
    """

    form = Operators
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("time_s", "s", "min", "time"),
        Metric("roofline_s", "s", "min", "time of the roofline"),
        Metric("flops", "FLOP", None, "FLOPs"),
        Metric("bytes", "B", None, "bytes"),
        Metric("flop_per_s", "FLOP/s", "max", "rate"),
        Metric("bytes_per_s", "B/s", "max", "bandwidth"),
        Metric("expected_error", "1", "min", "expected error"),
        Metric("bound_by", label="what binds"),
        Metric("constants", label="where the constants are from"),
    )
    needs: ClassVar[Collection[str]] = ("hardware",)
    mapping: ClassVar[Collection[str]] = ("engines", "runtime", "calibration")
    kinds: ClassVar[Mapping[str, str]] = {}
    vectorised: ClassVar[bool] = True
    requires: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """What shapes of other operators have."""
        work = _of(scenario)
        kernel = MIXED if work.op == MIXED else _kernel(work).name
        own = {*SHAPES[kernel], *(["dtype"] if kernel not in ("collective", "copy") else [])}
        if kernel == "gemm":
            own -= {"heads"} if not work.op.startswith("batched_") else set()
            own -= {"experts"} if not work.op.startswith("grouped_") else set()
        keys = {"dtype", *(key for keys in SHAPES.values() for key in keys)}
        return {f"workload.{key}": f"an operator '{work.op}'" for key in sorted(keys - own)}

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        """Sizes of shapes, and rates of the machine."""
        sizes = {f"workload.{key}" for keys in SHAPES.values() for key in keys if key not in (*TEXTS, "seed")}
        free = [path for path in paths if path in sizes or path.startswith("hardware.")]
        if scenario is None:
            return free
        system = machine(scenario)
        return [path for path in free if path in sizes or varies(system, path.removeprefix("hardware."))]

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work = _of(scenario)
        if work.op == MIXED:
            return _mixed(scenario, columns, cases, wanted)
        kernel = _kernel(work)
        system, engine = machine(scenario), next(iter(scenario.mapping.engines or ()), None)
        with at_key("mapping", "engines") if engine else at_key("hardware"):
            plain = chip_of(system, engine)
        rates = {path.partition(".")[2]: each for path, each in columns.items() if path.startswith("hardware.")}
        chip = chip_of(system.at(rates), engine) if rates else plain
        shapes = {
            key: value
            for key in SHAPES[kernel.name]
            if (value := columns.get(f"workload.{key}", getattr(work, key))) is not None
        }
        shapes = {"op": work.op, "dtype": work.dtype, **shapes}
        known = _known(scenario, system, engine)
        with at_key("workload"):
            variants = kernel.variant(shapes)
            of = {str(name): constants(kernel, str(name), known) for name in np.unique(np.ravel(variants).astype(str))}
            seconds = times(kernel, shapes, chip, of)
            flops, moved = kernel.work(shapes)
        spread = np.broadcast_to(np.ravel(variants).astype(str), (cases,)) if len(of) > 1 else None
        metrics: dict[str, Any] = {
            "time_s": seconds,
            "roofline_s": _roofline(kernel, shapes, chip, flops, moved),
            "flops": flops,
            "bytes": moved,
            "flop_per_s": flops / seconds,
            "bytes_per_s": moved / seconds,
            "expected_error": _each(of, spread, lambda each: each.errors.median if each.errors else np.nan),
            "constants": _each(of, spread, lambda each: each.origin),
        }
        if "bound_by" in wanted:
            metrics["bound_by"] = _bound_by(kernel, shapes, chip, of, spread)
        return {name: np.ravel(value) if np.ndim(value) else value for name, value in metrics.items()}

    @staticmethod
    def detail(scenario: Scenario) -> NoReturn:
        raise no_plan(scenario)


def _mixed(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
    """A batch of chunks and of decodes: one kernel for each, one after the other, as programs launch them."""
    work = _of(scenario)
    renamed = {"workload.decodes": "workload.batch", "workload.decode_kv": "workload.seq_kv"}
    if work.decode_kv is None and "workload.decode_kv" not in columns:
        raise ConfigError("missing key", path="workload.decode_kv", expected="the keys of sequences that decode")
    decodes = {"op": "attention_decode", "batch": work.decodes, "seq_kv": work.decode_kv, "seq_q": None}
    parts = []
    for change, names in (({"op": "attention_prefill_causal"}, {}), (decodes, renamed)):
        one = scenario.model_copy(update={"workload": work.model_copy(update=change)})
        own = {names.get(path, path): each for path, each in columns.items() if path not in names.values()}
        parts.append(OperatorsEvaluator.evaluate(one, own, cases, [*wanted, "bound_by"]))
    chunks, tokens = parts
    summed = {name: chunks[name] + tokens[name] for name in ("time_s", "roofline_s", "flops", "bytes")}
    longer = np.asarray(chunks["time_s"] >= tokens["time_s"])
    rates = {"flop_per_s": summed["flops"] / summed["time_s"], "bytes_per_s": summed["bytes"] / summed["time_s"]}
    rest = {name: np.where(longer, chunks[name], tokens[name]) for name in ("expected_error", "constants", "bound_by")}
    return {**summed, **rates, **{name: each if each.ndim else each.item() for name, each in rest.items()}}


def _of(scenario: Scenario) -> Operators:
    assert isinstance(scenario.workload, Operators)
    return scenario.workload


def _kernel(work: Operators) -> GpuKernel:
    with at_key("workload"):
        return kernel_of(work.op)


def _known(scenario: Scenario, system: System, engine: str | None) -> Known:
    """What is known of the kernels of an engine under the runtime that is named, or under any.

    Raises:
        ConfigError: a runtime whose kernels nothing is known of; no such runtime or calibration.
    """
    name, runtime = scenario.mapping.calibration, scenario.mapping.runtime
    software = None if runtime is None else load_runtime(runtime)
    with at_key("mapping", "calibration"):
        known = known_of(system, engine, software, name)
    if software is not None and not (software.runtime.modelled or known.own or known.stated):
        message = "kernels of this chip were not calibrated under it"
        raise ConfigError(message, path=("mapping", "runtime"), found=f"'{runtime}'", expected=LIBRARIES)
    return known


def _roofline(kernel: GpuKernel, shapes: Shapes, chip: Chip, flops: Array, moved: Array) -> Array:
    """Seconds of FLOPs at the peak, or of bytes at the bandwidth, whichever is longer."""
    if kernel.name in ("collective", "exchange"):
        seconds: Array = moved / chip.link if np.all(chip.link) else np.full(np.shape(moved), np.nan)
        return seconds
    if kernel is COPY:
        return copy_roofline(shapes, chip)
    dtype = str(shapes["dtype"])
    rate = chip.peak.get(COMPUTES.get(dtype, dtype), np.nan)
    return np.fmax(flops / rate, moved / chip.bandwidth)


def _each(of: Mapping[str, Constants], spread: Any, value: Any) -> Any:
    """A value of the constants of each case."""
    values = {name: value(each) for name, each in of.items()}
    return next(iter(values.values())) if spread is None else np.array([values[name] for name in spread])


def _bound_by(
    kernel: GpuKernel, shapes: Mapping[str, Any], chip: Chip, of: Mapping[str, Constants], spread: Any
) -> Any:
    """The part of each case that takes longest."""
    if spread is None:
        return bound_by(kernel, shapes, chip, next(iter(of.values())).library)
    bound = np.empty(len(spread), object)
    for name, each in of.items():
        rows = np.flatnonzero(spread == name)
        bound[rows] = _bound_by(kernel, rows_of(shapes, rows, len(spread)), chip, {name: each}, None)
    return bound
