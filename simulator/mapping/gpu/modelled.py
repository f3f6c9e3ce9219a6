"""The kernels of a pass, timed by the models of their classes: what each is, and the constants that count for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from simulator.core import Quantity, Resource
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.gpu.attention import DECODE, MLA_DECODE, MLA_PREFILL, PREFILL
from simulator.mapping.gpu.attention_once import DecodeOnce, Once, PrefillOnce
from simulator.mapping.gpu.calibration import FAMILY, Constants, Known, constants, known_of, rows_of, times
from simulator.mapping.gpu.chip import Chip, width
from simulator.mapping.gpu.collective import COLLECTIVE
from simulator.mapping.gpu.kernel import GpuKernel, Shapes
from simulator.mapping.gpu.kernels import KERNELS
from simulator.mapping.gpu.moe import MOE
from simulator.mapping.gpu.products import GEMM
from simulator.mapping.gpu.row_wise import MOVED, ROW_WISE
from simulator.mapping.kernels.fusion import ROW_WISE as FUSED
from simulator.mapping.kernels.kernels import Kernel
from simulator.mapping.runtime.form import Software
from simulator.mapping.target import computed_in
from simulator.workload import Operator

CHUNK = 32768
"""Design points at a time: their arrays stay in the cache of a CPU."""
SCALES = "compute_scale"
BLOCKS = {"fp8-block": "fp8_block", "nvfp4": "nvfp4"}
"""Formats of weights that have kernels of their own, by the names of tables of kernels."""


STRANGE = {
    "gemm": 0.16, "attention_prefill": 0.17, "attention_decode": 0.26, "mla_prefill": 0.17,
    "mla_decode": 0.26, "moe": 0.15, "row_wise": 0.4, "collective": 0.36,
}  # fmt: skip
"""Median errors of the family's constants, those of Hopper, on five GPUs that they were not fitted to: the median over
tables of TensorRT-LLM and vLLM in bf16 (aiconfigurator-core 0.12.0); of row-wise kernels on A100 and H100 (Vidur)."""


class Timed(NamedTuple):
    """What a kernel takes alone: its class, seconds before it uses anything, and seconds after."""

    kind: str
    launch: Quantity
    seconds: Quantity


class Attended(NamedTuple):
    """Attention of an iteration: its class, whether it is of sequences that decode, and seconds after its launch."""

    kind: str
    decode: bool
    once: Once


@dataclass(frozen=True, eq=False)
class Models:
    """What times the kernels of a GPU.

    Attributes:
        known: where their constants are from.
        static: scales of activations come with the checkpoint, so that no kernel looks for them.
        fused: what libraries join to other kernels: `rope` with attention, sums at the end of `layers` with norms.
    """

    known: Known
    static: bool = False
    fused: tuple[str, ...] = ()
    _known: dict[tuple[str, str], Constants] = field(default_factory=dict, init=False)

    def constants(self, kernel: GpuKernel, variant: str) -> Constants:
        """The constants of a variant of a class."""
        key = kernel.name, variant
        if key not in self._known:
            self._known[key] = constants(kernel, variant, self.known)
        return self._known[key]

    def used(self) -> dict[str, Constants]:
        """The constants of each class that has timed a kernel; of several variants those that err most."""
        known: dict[str, Constants] = {}
        for (name, _), each in sorted(self._known.items()):
            if name not in known or _error(name, each) > _error(name, known[name]):
                known[name] = each
        return known

    def error(self, engine: str, demand: Mapping[Resource, Quantity], seconds: Quantity) -> Quantity:
        """The share by which `seconds` may be off, if all kernels erred one way as they do in the median.

        `sum_c seconds_c error_c / seconds` over the classes c, whose seconds are among the demands of the engine's
        plans. What is no kernel counts as right.
        """
        errors = {f"{engine} ({name})": _error(name, each) for name, each in self.used().items()}
        off = (units * errors[each.name] for each, units in demand.items() if each.name in errors)
        return sum(off, start=0.0) / seconds

    def timed(self, kernel: GpuKernel, shapes: Shapes, chip: Chip) -> Timed:
        """What a kernel takes, without its launch by a host; nothing of it is in L2 from a call before."""
        shapes = {**shapes, "warm": 0.0, "launched": 0.0}
        variants = np.ravel(kernel.variant(shapes)).astype(str)
        names = list(dict.fromkeys(variants.tolist()))
        if len(names) == 1:
            return self._timed(kernel, shapes, chip, names[0])
        launch, seconds = np.empty((2, len(variants)))
        for name in names:
            rows = np.flatnonzero(variants == name)
            some = chip.at(rows) if chip.points > 1 else chip
            part = self._timed(kernel, rows_of(shapes, rows, len(variants)), some, name)
            launch[rows], seconds[rows] = part.launch, part.seconds
        return Timed(kernel.name, launch, seconds)

    def _timed(self, kernel: GpuKernel, shapes: Shapes, chip: Chip, variant: str) -> Timed:
        of = self.constants(kernel, variant)
        seconds = _times(kernel, shapes, chip, {variant: of})
        launch = np.minimum(of.library.t0, seconds)
        return Timed(kernel.name, launch, seconds - launch)


def _times(kernel: GpuKernel, shapes: Shapes, chip: Chip, of: Mapping[str, Constants]) -> Any:
    """Seconds of a shape at each design point, as many points at a time as the cache of a CPU holds."""
    count = chip.points
    if count <= CHUNK:
        seconds = times(kernel, shapes, chip, of)
        return float(seconds) if np.ndim(seconds) == 0 else seconds
    parts = []
    for first in range(0, count, CHUNK):
        cut = slice(first, first + CHUNK)
        some = {key: each[cut] if np.shape(each) == (count,) else each for key, each in shapes.items()}
        parts.append(np.broadcast_to(times(kernel, some, chip.at(cut), of), (min(CHUNK, count - first),)))
    return np.concatenate(parts)


def _error(name: str, of: Constants) -> float:
    """The median error of constants on what they were not fitted to."""
    return of.errors.median if of.errors else STRANGE[name]


def models(system: System, engine: str, software: Software, calibration: str | None = None) -> Models:
    """The models of the kernels of an engine under a runtime.

    Raises:
        ConfigError: nothing is known of the engine's chip.
    """
    known = known_of(system, engine, software, calibration)
    return Models(known, software.runtime.scales == "static", software.runtime.fused)


def kernel_time(known: Models, kernel: Kernel, chip: Chip) -> Timed:
    """What a kernel of a pass takes, by the class and the shape of its operators.

    Raises:
        ConfigError: no class has it, as of a scan.
    """
    kinds = {operator.kind for operator in kernel.operators}
    if any(operator.groups is not None and operator.kind == "gemm" for operator in kernel.operators) and len(kinds) > 1:
        return known.timed(MOE, _experts(kernel, chip), chip)
    if "gemm" in kinds:
        return _with_scales(known, known.timed(GEMM, shapes := _product(kernel, chip), chip), shapes, chip)
    if "attention" in kinds:
        return known.timed(*_attention(kernel), chip)
    if unknown := kinds - {*FUSED, "embedding", "softmax", "transpose"}:
        raise _without_model(_first(kernel, unknown.pop()))
    return known.timed(ROW_WISE, _rows(kernel), chip)


def collective_time(known: Models, op: str, size: Quantity, devices: int, nodes: int, chip: Chip) -> Timed:
    """What a collective over the devices of so many nodes takes, by the size of a rank's payload."""
    return known.timed(COLLECTIVE, {"op": op, "bytes": size, "n_devices": float(devices), "nodes": float(nodes)}, chip)


def attention_once(known: Models, kernel: Kernel, chip: Chip) -> Attended | None:
    """Attention of a pass, in plain floats; None of another kernel, or where that is not known of this one.

    That is so of a window, which cuts each sequence for itself, and of constants with residuals by shape.
    """
    if all(operator.kind != "attention" for operator in kernel.operators):
        return None
    each, shape = _attention(kernel)
    constants_ = known.constants(each, str(np.ravel(each.variant(shape))[0]))
    if np.any(shape["window"]) or constants_.residuals is not None or chip.points > 1:
        return None
    decode = each in (DECODE, MLA_DECODE)
    made = DecodeOnce if decode else PrefillOnce
    return Attended(each.name, decode, made(shape, chip, constants_.library))


def _attention(kernel: Kernel) -> tuple[GpuKernel, dict[str, Any]]:
    """The class and the shape of attention."""
    operator = _first(kernel, "attention")
    shape = dict(_stated(operator))
    decode, latent = operator.phase == "decode", "latent" in shape
    each = (MLA_DECODE if latent else DECODE) if decode else (MLA_PREFILL if latent else PREFILL)
    mask = "_causal" if shape.pop("causal", True) else ""
    op = f"attention_prefill{mask}" if each is PREFILL else each.name
    return each, {**shape, "op": op, "dtype": _wide(operator.dtype)}


def _product(kernel: Kernel, chip: Chip) -> dict[str, Any]:
    """Products of the same rows as one: their columns add up."""
    products = [operator for operator in kernel.operators if operator.kind == "gemm"]
    shape = _stated(products[0])
    columns: Any = sum((_stated(each)["n"] for each in products), start=0.0)
    elements = shape["count"] * shape["k"] * columns
    return {**shape, "n": columns, "dtype": _format(chip, products[0]), "stored": _stored(products, elements)}


def _with_scales(known: Models, timed: Timed, shapes: Shapes, chip: Chip) -> Timed:
    """A product without the kernel that looks for the scale of its activations, where the checkpoint states it.

    Measured products of 8 bits have it in them; it is left out as far as it was measured by itself.
    """
    if not known.static or shapes["dtype"] != "fp8":
        return timed
    looks = known.constants(ROW_WISE, SCALES)
    if looks.origin == FAMILY:
        return timed
    saved = known.timed(ROW_WISE, {"op": SCALES, "m": shapes["m"], "n": shapes["k"]}, chip)
    floor = known.constants(GEMM, "bf16").library.t0
    launch = np.maximum(timed.launch - saved.launch, floor)
    return Timed(timed.kind, launch, np.maximum(timed.seconds - saved.seconds, 0.0))


def _experts(kernel: Kernel, chip: Chip) -> dict[str, Any]:
    """The routed experts of a layer on one device: rows alike over those that have any."""
    products = [operator for operator in kernel.operators if operator.kind == "gemm"]
    shape = _stated(products[0])
    width, hidden, active = shape["n"], shape["k"], shape["count"]
    matrices = len(products)
    sums = next((_stated(each) for each in kernel.operators if each.kind == "combine"), {"m": shape["m"] * active})
    return {
        "op": "moe_ffn",
        "dtype": _format(chip, products[0]),
        "m": sums["m"], "n": width, "k": hidden, "experts": active, "top_k": 1.0, "matrices": float(matrices),
        "rows": shape["m"] * active, "active": active,
        "stored": _stored(products, active * matrices * width * hidden),
    }  # fmt: skip


def _rows(kernel: Kernel) -> dict[str, Any]:
    """A kernel over rows: those of its norm, else elements of all rows, as many as what it moves amounts to."""
    norm = next((operator for operator in kernel.operators if operator.kind == "norm"), None)
    rows = _stated(norm)["m"] if norm else 1.0
    op = "rms_norm" if norm else "add"
    return {"op": op, "m": rows, "n": kernel.traffic / (2.0 * MOVED.get(op, 2.0)) / np.maximum(rows, 1.0)}


def _first(kernel: Kernel, kind: str) -> Operator:
    return next(operator for operator in kernel.operators if operator.kind == kind)


def _stated(operator: Operator) -> Mapping[str, Any]:
    """The sizes of an operator.

    Raises:
        ConfigError: it states none.
    """
    if not operator.shape:
        raise _without_model(operator)
    return operator.shape


def _without_model(operator: Operator) -> ConfigError:
    """What is said of a kernel that no class covers, and what to do."""
    message = f"no model times a kernel of kind '{operator.kind}': they cover {', '.join(KERNELS)}"
    found = f"'modelled' of a model with {operator.name}"
    expected = "'roofline', which times every kernel by its FLOPs and bytes under the runtime"
    return ConfigError(message, path=("kernels",), found=found, expected=expected)


def _stored(products: list[Operator], elements: Quantity) -> Any:
    """Bytes of an element of the weights as they are stored, scales with them; of products without weights None."""
    weights: Any = sum((o.bytes.get("weight", 0.0) + o.bytes.get("expert", 0.0) for o in products), start=0.0)
    return weights / elements if np.any(weights) else None


def _format(chip: Chip, product: Operator) -> str:
    """What tables of kernels call the format of a product: that of its weights where the chip computes in it.

    Else the one that it computes in, or is widened to.
    """
    computes = computed_in(chip.peak, product.dtype) or product.dtype
    blocks = BLOCKS.get(product.shape.get("format", ""))
    return blocks if blocks and computes == product.dtype else computes


def _wide(dtype: str) -> str:
    """The format of activations in attention: 16 bits at least, as kernels have them."""
    return dtype if width(dtype) >= 2 else "bf16"
