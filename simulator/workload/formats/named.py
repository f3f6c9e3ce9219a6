"""The formats of weights and of KV caches, by name. A new one is a row here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import AfterValidator

from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT
from simulator.workload.formats.format import BLOCKS, KEPT, ROUTERS, Block, Format
from simulator.workload.formats.gguf import GGUF

_WITH_ROUTERS = tuple(rule for rule in KEPT if rule.tensor not in ROUTERS)  # which these store as all linear layers
_AWQ = "arXiv 2306.00978; AutoAWQ stores an fp16 scale and a packed zero a group"
_GPTQ = "arXiv 2210.17323; AutoGPTQ stores an fp16 scale and a packed zero a group, symmetric or not"
_BNB = (
    "QLoRA, arXiv 2305.14314, section 3: an fp32 scale for 64 weights; if double, a byte, and an fp32 for 256 of them"
)
_PRESET = "preset scheme of compressed-tensors (vllm-project): groups of 128, or a scale a channel"
_MLX = "mlx.core.quantize (ml-explore/mlx): an fp16 scale and bias for 64 weights, of embeddings too"

_HQQ = "Half-Quadratic Quantization (mobiusml/hqq): a scale and a zero in fp16 for 64 weights"
_QUANTO = "huggingface/optimum-quanto: a scale and a shift in 16 bits for 128 weights"
_HIGGS = "HIGGS, arXiv 2411.17525: a scale in fp16 for 256 weights"
_SPQR = "spqr_quant 0.2.0: 16 weights with scale, zero and an eighth of the second order in 64 bits; outliers beside"
_AQLM = "AQLM, arXiv 2401.06118: codebooks of vectors of 8 weights in fp16, a matrix its own"
_VPTQ = "VPTQ, arXiv 2409.17066: codebooks of vectors in 16 bits, a matrix its own"


def _codebooks(size: int, source: str, *bits: int) -> Format:
    """Vectors of `size` weights, each a sum of entries of codebooks of so many bits, which a matrix (a group) shares.

    The group stands for a matrix of 4096 x 4096; that of a model's own matrices takes its place.
    """
    books = sum(2**each for each in bits) * size * 2
    return Format(Block(sum(bits) / size, 4096 * 4096, books), None, KEPT, source=source)


FORMATS: dict[str, Format] = {
    "fp32": Format(BLOCKS["fp32"], vectors="fp32", source="IEEE 754"),
    "bf16": Format(BLOCKS["bf16"], vectors="bf16", source="arXiv 1905.12322"),
    "fp16": Format(BLOCKS["fp16"], vectors="fp16", source="IEEE 754"),
    "fp8": Format(BLOCKS["fp8"], "fp8", KEPT, source="arXiv 2209.05433; a scale a tensor or channel"),
    "fp8-block": Format(Block(8, 128 * 128, 4), "fp8", KEPT, source="DeepSeek-V3, arXiv 2412.19437, section 3.3.2"),
    "int8": Format(BLOCKS["int8"], "int8", KEPT, source="SmoothQuant, arXiv 2211.10438; a scale a tensor or channel"),
    "w8a8": Format(Block(8), "int8", KEPT, source=_PRESET),
    "w8a16": Format(Block(8), None, KEPT, source=_PRESET),
    "w4a16": Format(Block(4, 128, 2), None, KEPT, source=_PRESET),
    "w4a16-asym": Format(Block(4, 128, 2.5), None, KEPT, source=_PRESET),
    "w4a8": Format(Block(4, 128, 2), "int8", KEPT, source=_PRESET),
    "w4a8-fp8": Format(Block(4, 128, 2), "fp8", KEPT, source=_PRESET),
    "w4a4": Format(Block(4, 128, 2), "int4", KEPT, source="Atom, arXiv 2310.19102: groups of 128"),
    "awq": Format(Block(4, 128, 2.5), None, KEPT, source=_AWQ),
    "gptq": Format(Block(4, 128, 2.5), None, KEPT, source=_GPTQ),
    "gptq-int8": Format(Block(8, 128, 3), None, KEPT, source=_GPTQ),
    "gptq-int3": Format(Block(3, 128, 2.375), None, KEPT, source=_GPTQ),
    "gptq-int2": Format(Block(2, 128, 2.25), None, KEPT, source=_GPTQ),
    "nf4": Format(Block(4, 64, 4), None, _WITH_ROUTERS, source=_BNB),
    "nf4-double": Format(Block(4, 64, 1 + 4 / 256), None, _WITH_ROUTERS, source=_BNB),
    "bnb-int8": Format(Block(8), "int8", _WITH_ROUTERS, source="LLM.int8(), arXiv 2208.07339; a scale a row"),
    "mxfp4": Format(BLOCKS["mxfp4"], None, KEPT, source="OCP microscaling formats, v1.0: 32 share a scale of 8 bits"),
    "nvfp4": Format(Block(4, 16, 1), "fp4", KEPT, source="NVIDIA's NVFP4: 16 share a scale in fp8"),
    "mxfp8": Format(Block(8, 32, 1), "fp8", KEPT, source="OCP microscaling formats, v1.0: 32 share a scale of 8 bits"),
    **{f"mlx-{bits}bit": Format(Block(bits, 64, 4), None, (), source=_MLX) for bits in (2, 3, 4, 5, 6, 8)},
    "nvfp4a16": Format(Block(4, 16, 1), None, KEPT, source="as nvfp4, weights alone: " + _PRESET),
    "hqq-8bit": Format(Block(8, 64, 4), None, KEPT, source=_HQQ),
    "hqq-4bit": Format(Block(4, 64, 4), None, KEPT, source=_HQQ),
    "hqq-3bit": Format(Block(3.2, 64, 4), None, KEPT, source=_HQQ + "; ten of 3 bits in 32"),
    "hqq-2bit": Format(Block(2, 64, 4), None, KEPT, source=_HQQ),
    "hqq-1bit": Format(Block(1, 64, 4), None, KEPT, source=_HQQ),
    "quanto-int4": Format(Block(4, 128, 4), None, KEPT, source=_QUANTO),
    "quanto-int2": Format(Block(2, 128, 4), None, KEPT, source=_QUANTO),
    "torchao-int4": Format(Block(4, 128, 4), None, KEPT, source="pytorch/ao: a scale and a zero in bf16 a group"),
    **{f"higgs-{bits}bit": Format(Block(bits, 256, 2), None, KEPT, source=_HIGGS) for bits in (2, 3, 4)},
    "spqr": Format(Block(3, 16, 2), None, KEPT, source=_SPQR),
    "bitnet": Format(Block(2), "int8", KEPT, source="BitNet b1.58, arXiv 2402.17764: four of three values in a byte"),
    **{f"aqlm-{n}x{bits}": _codebooks(8, _AQLM, *[bits] * n) for n, bits in ((1, 16), (2, 8), (2, 16), (4, 8), (8, 8))},
    **{
        f"vptq-{size}-{2**first}-{2**rest if rest else 0}": _codebooks(size, _VPTQ, first, *([rest] if rest else []))
        for size, first, rest in (
            (8, 16, 0),
            (8, 16, 8),
            (8, 16, 16),
            (8, 14, 0),
            (12, 16, 12),
            (16, 16, 16),
            (16, 16, 15),
            (16, 16, 10),
            (6, 12, 0),
            (4, 8, 0),
        )
    },
    **GGUF,
    **{name: Format(BLOCKS[name], None, KEPT, source="elements without scales") for name in ("fp6", "fp4", "int4")},
}
"""Formats of weights by name. Of the last three, nothing says what computes: a model's `dtypes` may."""

UNSAID = {"int4": ("w4a16", "w4a4"), "fp4": ("mxfp4", "nvfp4"), "fp6": ("q6_k",)}
"""Formats that do not say what computes, and those of as many bits that do."""

COMPUTING = [name for name in FORMATS if name not in UNSAID]
"""Formats that say it."""

KV: dict[str, Block] = {
    **{name: BLOCKS[name] for name in (*BYTES_PER_ELEMENT, "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")},
    "int4": Block(4, None, 4),
    "nvfp4": Block(4, 16, 1),
}
"""Formats of KV caches by name. `int4` has an fp16 scale and zero for each head of a token (LMDeploy); other numbers of
8 bits or fewer have a scale a tensor, which is not counted."""


def computing(name: str) -> str:
    """The name of a format that says what computes. Raises `ValueError` for another, with those that do."""
    if name not in UNSAID:
        return name
    others = (f"'{other}' computes in {FORMATS[other].compute or '16 bits'}" for other in UNSAID[name])
    raise ValueError(f"'{name}' does not say what computes: {', '.join(others)}")


if TYPE_CHECKING:
    FormatName: TypeAlias = str
    KvFormat: TypeAlias = str
else:
    FormatName = Literal[tuple(FORMATS)]
    KvFormat = Literal[tuple(KV)]

ComputingFormat: TypeAlias = Annotated[FormatName, AfterValidator(computing)]
"""What a mapping names: one word for what is stored and what computes."""
