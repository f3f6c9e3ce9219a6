"""Single operators on a GPU by their shapes, with what binds and the roofline beside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, NoReturn

import numpy as np

from simulator.errors import ConfigError, one_of
from simulator.hardware.system import varies
from simulator.mapping.gpu.calibration import (
    Calibration,
    Constants,
    calibrations,
    constants,
    load_calibration,
    rows_of,
    times,
)
from simulator.mapping.gpu.chip import Chip, chip_of
from simulator.mapping.gpu.gemm import COMPUTES
from simulator.mapping.gpu.kernel import Array, GpuKernel, bound_by
from simulator.mapping.gpu.kernels import kernel_of
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
    "moe": ("m", "n", "k", "experts", "top_k", "tp", "ep", "matrices", "distribution", "seed"),
    "row_wise": ("m", "n"),
    "collective": ("bytes", "n_devices", "nodes"),
}
"""What a shape of each class may have."""
TEXTS = ("kv_dtype", "distribution")


class Operators(Workload):
    """One operator of a shape; a study, or columns of cases, ask for many."""

    kind: Literal["operators"]
    op: str = "gemm"
    """`gemm`, `batched_gemm`, `grouped_gemm`, `attention_prefill`, `attention_prefill_causal`, `attention_decode`,
    `moe_ffn`, a row-wise one (`rms_norm`, `softmax`, `silu_and_mul`, ...), or a collective (`all_reduce`, ...)."""
    dtype: str = "bf16"
    """The format of the operands: `bf16`, `fp8`, `fp8_block` (one scale a block), ..."""
    calibration: str | None = None
    """Constants of kernels by their name or path; null: those of the chip, else those of its family."""
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
    mapping: ClassVar[Collection[str]] = ("engines", "runtime")
    kinds: ClassVar[Mapping[str, str]] = {}
    vectorised: ClassVar[bool] = True
    requires: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """What shapes of other operators have."""
        work = _of(scenario)
        kernel = _kernel(work).name
        own = {*SHAPES[kernel], *(["dtype"] if kernel != "collective" else [])}
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
        known = _calibrated(scenario, plain)
        with at_key("workload"):
            variants = kernel.variant(shapes)
            of = {str(name): constants(kernel, str(name), known) for name in np.unique(np.ravel(variants).astype(str))}
            seconds = times(kernel, shapes, chip, of)
            flops, moved = kernel.work(shapes)
        spread = np.broadcast_to(np.ravel(variants).astype(str), (cases,)) if len(of) > 1 else None
        metrics: dict[str, Any] = {
            "time_s": seconds,
            "roofline_s": _roofline(kernel, work.dtype, chip, flops, moved),
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


def _of(scenario: Scenario) -> Operators:
    assert isinstance(scenario.workload, Operators)
    return scenario.workload


def _kernel(work: Operators) -> GpuKernel:
    with at_key("workload"):
        return kernel_of(work.op)


def _calibrated(scenario: Scenario, chip: Chip) -> dict[str, Calibration]:
    """The calibrations whose constants count: the one that is named, else those of the chip, under the runtime."""
    name, runtime = _of(scenario).calibration, scenario.mapping.runtime
    if name is not None:
        with at_key("workload", "calibration"):
            return {name: load_calibration(name)}
    known = calibrations(chip)
    if runtime is None:
        return known
    under = {name: each for name, each in known.items() if each.runtime == runtime}
    if not under:
        expected = one_of(sorted({each.runtime or "" for each in known.values()})) if known else "none"
        message = "kernels of this chip were not calibrated under it"
        raise ConfigError(message, path=("mapping", "runtime"), found=f"'{runtime}'", expected=expected)
    return under


def _roofline(kernel: GpuKernel, dtype: str, chip: Chip, flops: Array, moved: Array) -> Array:
    """Seconds of FLOPs at the peak, or of bytes at the bandwidth, whichever is longer."""
    if kernel.name == "collective":
        seconds: Array = moved / chip.link if np.all(chip.link) else np.full(np.shape(moved), np.nan)
        return seconds
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
