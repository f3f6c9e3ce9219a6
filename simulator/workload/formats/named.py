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
