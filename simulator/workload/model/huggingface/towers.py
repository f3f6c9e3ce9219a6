"""Reads the tower of images of a multimodal `config.json`, with its projector, as a model of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from simulator.config import Config, validate
from simulator.errors import nearest, one_of
from simulator.workload.formats.quantisation import NUMBERS
from simulator.workload.model.form import MOST_LAYERS, Model
from simulator.workload.model.huggingface.assemble import ACTIVATIONS
from simulator.workload.model.huggingface.keys import HEADS, HIDDEN, Keys, text_part
from simulator.workload.model.huggingface.layers import shortest

Data = dict[str, Any]

MOST_PATCHES = 65_536
"""Patches of an image at most, where no table of positions bounds them (16,384 tokens of four: arXiv 2409.12191)."""


TOWER_HEADS = ("num_heads", "vt_num_attention_heads", *HEADS)


class Parts(NamedTuple):
    """The keys of a tower, of the whole config, and of its language model."""

    vision: Keys
    outer: Keys
    text: Keys

    @property
    def hidden(self) -> int:
        """Width of the hidden state of the tower."""
        width: int = self.vision.size("embed_dim", "vt_hidden_size", "hidden_size")
        return width

    @property
    def read_as(self) -> int:
        """Width that the language model reads."""
        width: int = self.text.size(*HIDDEN)
        return width


def read_tower(config: Config, name: str) -> Model:
    """The tower of a loaded `config.json`; its weights are as wide as the config's `dtype`.

    Raises:
        ConfigError: a config without a tower, or a tower of a form that is not known, with those that are; a missing
            key, or a value of another kind.
    """
    outer = Keys(config)
    own = outer.within("vision_config")
    vision = outer if own is None else own
    kind = _kind(vision) or _kind(outer)
    if own is None and kind not in ALONE:
        raise outer.error("vision_config", "a model of text alone", "a config with a tower of images")
    if not kind:
        raise vision.error("model_type", "missing key", one_of(TOWERS))
    if kind not in TOWERS:
        raise vision.error("model_type", "a tower of images", one_of(TOWERS), nearest(kind, TOWERS))
    parts = Parts(vision, outer, text_part(outer))
    data: Data = {"name": name, "family": kind} | TOWERS[kind](parts)
    if own is not None and "projector" not in data:
        outside = _kind(outer)
        if outside not in PROJECTORS:
            raise outer.error("model_type", "a projector", one_of(PROJECTORS), nearest(outside, PROJECTORS))
        projector = PROJECTORS[outside](parts, data)
        data["norm"] = data["norm"] | projector.pop("around", {})
        data["projector"] = projector
    names = ("torch_dtype", "dtype")
    holder = next((keys for keys in (vision, outer, parts.text) if any(map(keys.has, names))), outer)
    dtype = holder.choice(*names, known=NUMBERS, default="bfloat16", what="number format")
    data["dtypes"] = {"weights": dtype, "activations": dtype, "kv": dtype}
    data["not_modelled"] = _left(parts, own is None)
    return validate(replace(config, data=data), Model)


def _kind(keys: Keys) -> str:
    kind = keys.config.data.get("model_type")
    return kind.removesuffix("_vision") if isinstance(kind, str) else ""


def _left(parts: Parts, alone: bool) -> list[str]:
    """What the config says of the tower that no figure here has in it."""
    names = []
    if alone and (parts.vision.has("vision_use_head") or _kind(parts.vision) == "siglip_vision_model"):
        names = ["vision_use_head"] if parts.vision.flag("vision_use_head", default=True) else []
    return names + [name for name in ("quantization_config",) if parts.outer.has(name)]


def _blocks(
    parts: Parts, *, norm: Data, matrices: int, patches: Data, positions: str, attention: Data, bias: bool = True
) -> Data:
    """What all towers have: layers of attention in which all see all, and of an FFN."""
    vision, hidden = parts.vision, parts.hidden
    heads = vision.size(*TOWER_HEADS)
    head_dim = vision.size("head_dim", default=hidden // heads)
    if hidden % heads and not vision.has("head_dim"):
        name = next(key for key in TOWER_HEADS if vision.has(key))
        raise vision.error(name, "heads that do not divide the width of the tower", f"a divisor of {hidden:,}")
    width = vision.size("intermediate_size", "vt_intermediate_size", default=0, least=0)
    if not width:
        width = int(hidden * vision.number("mlp_ratio", default=4))
    activation = vision.choice(
        "hidden_act", "hidden_activation", known=ACTIVATIONS | {"quick_gelu": "gelu"}, default="gelu", what="activation"
    )
    most = patches.get("positions") or MOST_PATCHES
    return {
        "layers": vision.size("depth", "num_hidden_layers", "vt_num_hidden_layers", most=MOST_LAYERS),
        "hidden": hidden,
        "max_context": max(most, MOST_PATCHES) if positions == "rope" else most,
        "attention": {
            "heads": heads, "kv_heads": heads, "head_dim": head_dim, "bidirectional": True, "qkv_bias": bias,
            "output_bias": bias,
        } | attention,
        "ffn": {"intermediate": width, "matrices": matrices, "activation": activation, "bias": bias},
        "norm": norm,
        "positions": {"kind": positions},
        "patches": {"channels": vision.size("in_channels", "in_chans", "num_channels", default=3)} | patches,
    }  # fmt: skip


LAYER = {"kind": "layer", "bias": True}
RMS = {"kind": "rms"}


def _qwen2(parts: Parts) -> Data:
    data = _qwen(parts, LAYER, 2, {}, bias=False)
    return data | {"projector": _merger(parts, parts.vision.size("hidden_size", default=parts.read_as))}


def _qwen2_5(parts: Parts) -> Data:
    """Most layers see a square of `window_size` pixels, others all (Qwen2.5-VL, arXiv 2502.13923, section 2.1.1)."""
    vision = parts.vision
    data = _qwen(parts, RMS, 3, {}, bias=False)
    side = vision.size("window_size", default=112) // data["patches"]["size"]
    full = set(vision.numbers("fullatt_block_indexes") or [7, 15, 23, 31])
    attentions = {"window": data["attention"] | {"chunk": side**2}}
    pattern = shortest(["attention ffn" if i in full else "window ffn" for i in range(data["layers"])])
    out = vision.size("out_hidden_size", default=parts.read_as)
    return data | {"attentions": attentions, "pattern": pattern, "projector": _merger(parts, out)}


def _qwen3(parts: Parts) -> Data:
    """Some layers hand on what they see too (`deepstack_visual_indexes`)."""
    vision = parts.vision
    table = {"positions": vision.size("num_position_embeddings", default=2304)}
    data = _qwen(parts, LAYER, 2, table, bias=True)
    named = vision.config.data.get("deepstack_visual_indexes")
    stacked = _kind(vision) in ("qwen3_vl", "qwen3_vl_moe")
    taps = len(vision.numbers("deepstack_visual_indexes")) if named is not None else 3 * stacked
    out = vision.size("out_hidden_size", default=parts.read_as)
    return data | {"projector": _merger(parts, out) | {"taps": taps, "norm_bias": True}}


def _qwen(parts: Parts, norm: Data, matrices: int, table: Data, bias: bool) -> Data:
    vision = parts.vision
    patches = {
        "size": vision.size("patch_size", default=16 if table else 14), "bias": bias,
        "frames": vision.size("temporal_patch_size", default=2),
    }  # fmt: skip
    return _blocks(
        parts, norm=norm, matrices=matrices, patches=patches | table, positions="rope", attention={"fused_qkv": True}
    )


def _merger(parts: Parts, out: int) -> Data:
    """Squares of patches side by side, and two matrices."""
    merge = parts.vision.size("spatial_merge_size", default=2) ** 2
    width = merge * parts.hidden
    return {"merge": merge, "widths": (width, out), "bias": True}


def _llama4(parts: Parts) -> Data:
    """Pixel shuffle, two matrices of the tower, and one of the projector."""
    vision = parts.vision
    size = vision.size("patch_size", default=14)
    table = (vision.size("image_size", default=448) // size) ** 2 + 1
    merge = round(1 / vision.number("pixel_shuffle_ratio", default=0.5)) ** 2
    if vision.flag("multi_modal_projector_bias", default=False):
        raise vision.error("multi_modal_projector_bias", "biases in one matrix of a projector", "false")
    widths = (vision.size("projector_input_dim", default=4096), vision.size("projector_output_dim", default=4096))
    data = _blocks(
        parts, norm=LAYER | {"embedding": True}, matrices=2, positions="rope", attention={},
        patches={"size": size, "class_token": True, "positions": table},
    )  # fmt: skip
    return data | {"projector": {"merge": merge, "widths": (*widths, parts.read_as)}}


def _siglip(parts: Parts) -> Data:
    size, image = parts.vision.size("patch_size", default=16), parts.vision.size("image_size", default=224)
    patches = {"size": size, "bias": True, "positions": (image // size) ** 2}
    return _blocks(parts, norm=LAYER, matrices=2, patches=patches, positions="none", attention={})


def _clip(parts: Parts) -> Data:
    size, image = parts.vision.size("patch_size", default=32), parts.vision.size("image_size", default=224)
    patches = {"size": size, "class_token": True, "positions": (image // size) ** 2 + 1}
    return _blocks(parts, norm=LAYER | {"embedding": True}, matrices=2, patches=patches, positions="none", attention={})


def _pixtral(parts: Parts) -> Data:
    size = parts.vision.size("patch_size", default=16)
    return _blocks(
        parts, norm=RMS | {"embedding": True, "final": False}, matrices=3, patches={"size": size}, positions="rope",
        attention={}, bias=False,
    )  # fmt: skip


def _internvl(parts: Parts) -> Data:
    """Each part of a layer is scaled by a number a channel, which counts as vectors of the FFN."""
    vision = parts.vision
    size, image = _side(vision, "patch_size", 14), _side(vision, "image_size", 448)
    normed = vision.flag("use_qk_norm", "qk_normalization", default=False)
    rms = vision.choice("norm_type", known={"layer_norm": "", "rms_norm": "rms"}, default="layer_norm", what="norm")
    data = _blocks(
        parts, norm=(RMS if rms else LAYER) | {"final": False}, matrices=2, positions="none",
        attention={
            "qkv_bias": vision.flag("attention_bias", "qkv_bias", default=False), "qk_norm_whole": normed,
        },
        patches={"size": size, "bias": True, "class_token": True, "positions": (image // size) ** 2 + 1},
    )  # fmt: skip
    data["ffn"]["vectors"] = 2 * data["hidden"]
    return data


def _side(keys: Keys, name: str, default: int) -> int:
    """The side of a square, which may be given twice."""
    if isinstance(keys.config.data.get(name), list):
        return keys.numbers(name)[0]
    side: int = keys.size(name, default=default)
    return side


def _moonvit(parts: Parts) -> Data:
    """MoonViT of Kimi-VL (arXiv 2504.07491, section 2.1): a table of positions that is scaled, and RoPE."""
    vision = parts.vision
    sides = [
        vision.size(*(f"{name}_{side}" for name in ("init_pos_emb", "pos_emb")), default=64)
        for side in ("height", "width")
    ]
    merge = vision.numbers("merge_kernel_size") or [2, 2]
    patches = {"size": vision.size("patch_size", default=14), "bias": True, "positions": sides[0] * sides[1]}
    data = _blocks(parts, norm=LAYER, matrices=2, patches=patches, positions="rope", attention={})
    square = merge[0] * merge[1]
    widths = (square * parts.hidden, parts.read_as)
    return data | {"projector": {"merge": square, "norm": "patch", "norm_bias": True, "widths": widths, "bias": True}}


def _gemma4(parts: Parts) -> Data:
    """Positions along each side have a row, which are added; squares of patches become their mean."""
    vision = parts.vision
    if vision.flag("standardize", default=False):
        raise vision.error("standardize", "a scale and a bias behind the mean of patches", "false")
    patches = {
        "size": vision.size("patch_size", default=16),
        "positions": 2 * vision.size("position_embedding_size", default=10_240),
    }
    data = _blocks(
        parts, norm=RMS | {"per_layer": 4, "final": False}, matrices=3, patches=patches, positions="rope",
        attention={"qk_norm": True}, bias=False,
    )  # fmt: skip
    merge = vision.size("pooling_kernel_size", default=3) ** 2
    return data | {"projector": {"merge": merge, "pool": True, "widths": (parts.read_as,)}}


TOWERS: dict[str, Callable[[Parts], Data]] = {
    "qwen2_vl": _qwen2,
    "qwen2_5_vl": _qwen2_5,
    **{kind: _qwen3 for kind in ("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe")},
    "llama4_vision_model": _llama4,
    "siglip_vision_model": _siglip,
    "clip_vision_model": _clip,
    "pixtral": _pixtral,
    "internvl": _internvl,
    "intern_vit_6b": _internvl,
    "moonvit": _moonvit,
    "kimi_k25": _moonvit,
    "gemma4": _gemma4,
}
"""`model_type` of a tower, without its `_vision` -> the reader of its keys; else that of the whole config."""

ALONE = ("siglip_vision_model", "clip_vision_model")
"""Towers that are a config of their own."""


def _gemma3_projector(parts: Parts, tower: Data) -> Data:
    """The mean of squares of patches, as many tokens as `mm_tokens_per_image`; a norm and a matrix."""
    tokens, patches = parts.outer.size("mm_tokens_per_image", default=256), tower["patches"]["positions"]
    if parts.vision.flag("vision_use_head", default=True):
        raise parts.vision.error("vision_use_head", "a head that pools all patches", "false")
    if patches % tokens:
        raise parts.outer.error("mm_tokens_per_image", "tokens that patches do not share", f"a divisor of {patches:,}")
    return {"merge": patches // tokens, "pool": True, "norm": "merged", "widths": (parts.read_as,)}


def _linear_projector(parts: Parts, tower: Data) -> Data:
    return {"widths": (parts.read_as,), "bias": True}


def _two_layers(parts: Parts, tower: Data) -> Data:
    """A matrix to the width of the language model, and one more (LLaVA-1.5, arXiv 2310.03744)."""
    bias = parts.outer.flag("multimodal_projector_bias", default=True)
    return {"widths": (parts.read_as, parts.read_as), "bias": bias}


def _mistral3_projector(parts: Parts, tower: Data) -> Data:
    """A norm, squares of patches back to the width of one, and two matrices."""
    if parts.outer.flag("multimodal_projector_bias", default=False):
        raise parts.outer.error("multimodal_projector_bias", "biases in some matrices of a projector", "false")
    merge = parts.outer.size("spatial_merge_size", default=2) ** 2
    widths = (tower["hidden"], parts.read_as, parts.read_as)
    return {"merge": merge, "norm": "patch", "widths": widths}


def _internvl_projector(parts: Parts, tower: Data) -> Data:
    """Pixel shuffle, a norm of what it gives, and two matrices."""
    merge = round(1 / parts.outer.number("downsample_ratio", default=0.5)) ** 2
    widths = (parts.read_as, parts.read_as)
    return {"merge": merge, "norm": "merged", "norm_bias": True, "widths": widths, "bias": True}


PROJECTORS: dict[str, Callable[[Parts, Data], Data]] = {
    "gemma3": _gemma3_projector,
    "paligemma": _linear_projector,
    "llava": _two_layers,
    "mistral3": _mistral3_projector,
    "internvl": _internvl_projector,
    "internvl_chat": _internvl_projector,
}
"""`model_type` of a whole config -> the reader of the keys of its projector, where the tower does not say it."""
