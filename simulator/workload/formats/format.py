"""A format of weights: bits, groups with their scales and zeros, what stays wide, and what computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT, Dtype

if TYPE_CHECKING:
    from simulator.workload.model.form import Model


@dataclass(frozen=True)
class Block:
    """How elements are stored: `bits` each, and `shared` bytes of scale and zero for each `group` of them.

    A scale a tensor or a channel is not counted: it is less than 0.2 % of a matrix. Groups are taken to be whole.
    """

    bits: float
    group: int | None = None
    shared: float = 0.0

    @property
    def bytes(self) -> float:
        """Bytes of one element, with its share of what its group has in common."""
        return self.bits / 8 + (self.shared / self.group if self.group else 0.0)


BLOCKS: dict[str, Block] = {
    **{name: Block(8 * size) for name, size in BYTES_PER_ELEMENT.items()},
    "q8_0": Block(8, 32, 2), "q5_0": Block(5, 32, 2), "q4_0": Block(4, 32, 2),  # an fp16 scale for 32
    "q5_1": Block(5, 32, 4), "q4_1": Block(4, 32, 4),  # and a minimum
    "q2_k": Block(2, 256, 20), "q3_k": Block(3, 256, 14), "q4_k": Block(4, 256, 16),  # scales and minima of 16 or 32
    "q5_k": Block(5, 256, 16), "q6_k": Block(6, 256, 18),
    "iq4_nl": Block(4, 32, 2), "iq4_xs": Block(4, 256, 8),  # places in tables of values, and scales
    "iq3_s": Block(3, 256, 14), "iq3_xxs": Block(3, 256, 2),
    "iq2_s": Block(2, 256, 18), "iq2_xs": Block(2, 256, 10), "iq2_xxs": Block(2, 256, 2),
    "iq1_m": Block(1.5, 256, 8), "iq1_s": Block(1.5, 256, 2),
    "tq1_0": Block(1.625, 256, 2), "tq2_0": Block(2, 256, 2),  # three values: five in 8 bits, or one in 2
    "mxfp4": Block(4, 32, 1),
}  # fmt: skip
"""Blocks by name. Source of GGUF's: the structs of ggml-common.h (ggml-org/llama.cpp)."""

WIDE = "wide"
"""In place of a block: as wide as activations, 16 bits at least."""


def everywhere(layers: int) -> int:
    """All layers."""
    return layers


def any_model(model: Model) -> bool:
    """Every model."""
    return True


@dataclass(frozen=True)
class Rule:
    """A matrix with a name like `tensor` (`*`: any text) is stored as `block`, in `layers` of all, of models `when`.

    `block` names one of `BLOCKS`, or is `WIDE`. Layers that a rule leaves are for the next rule that fits.
    """

    tensor: str
    block: str
    layers: Callable[[int], float] = everywhere
    when: Callable[[Model], bool] = any_model


@dataclass(frozen=True)
class Format:
    """A format of weights.

    Attributes:
        block: of matrices that no rule is about.
        compute: what products with these matrices compute in; None: as activations (weight-only).
        rules: matrices that are stored otherwise, the first that fits first.
        vectors: the format of norms and biases; None: wide.
        source: where the figures come from.
    """

    block: Block
    compute: Dtype | None = None
    rules: tuple[Rule, ...] = ()
    vectors: Dtype | None = None
    source: str = ""


TENSORS = (
    "embedding", "position_embedding", "patch_embedding", "projector", "lm_head", "streams",
    "layer_input.proj", "layer_input.gate_proj", "layer_input.out_proj", "alternates.in_proj", "alternates.out_proj",
    "alternates.router", "alternates.coefficients", "laurel.in_proj", "laurel.out_proj",
    "moe.router", "moe.shared.gate",
    *(
        f"attention.{name}_proj"
        for name in (
            "q", "k", "v", "qkv", "o", "q_a", "q_b", "kv_a", "kv_b", "gate", "o_a", "o_b", "compressor_kv",
            "compressor_gate", "indexer_q", "indexer_k", "indexer_k_gate", "indexer_weights",
        )
    ),
    *(
        f"linear.{name}_proj"
        for name in ("qkv", "gate", "gate_a", "gate_b", "beta", "decay", "decay_a", "decay_b", "o")
    ),
    *(f"space.{name}_proj" for name in ("in", "x", "dt", "out")), "moe.latent_in_proj", "moe.latent_out_proj",
    *(f"{part}.{name}_proj" for part in ("ffn", "moe.experts", "moe.shared") for name in ("up", "gate", "down")),
)  # fmt: skip
"""The matrices that a model may have, by the names that rules use: those of the operators that read them."""

TABLES = ("embedding", "position_embedding")
ROUTERS = ("moe.router", "moe.shared.gate")
KEPT = tuple(Rule(name, WIDE) for name in (*TABLES, "lm_head", *ROUTERS, "streams", "attention.indexer_weights_proj"))
"""What quantisers leave wide unless told otherwise: embeddings, head, routers, and what weighs heads or streams."""
