"""Reads the `quantization_config` of a Hugging Face `config.json`: which format, in which groups, what stays wide."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from simulator.errors import nearest, one_of
from simulator.workload.formats.format import KEPT, ROUTERS, TABLES
from simulator.workload.formats.methods import METHODS as FURTHER
from simulator.workload.formats.modules import shares
from simulator.workload.formats.named import FORMATS
from simulator.workload.formats.quantised import MATRIX, ROW, Quantised
from simulator.workload.model.huggingface.keys import Keys

if TYPE_CHECKING:
    from simulator.workload.model.form import Model

Data = dict[str, Any]
NUMBERS = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
"""torch's names of number formats."""


def quantisation(keys: Keys, shape: Model, key: str = "quantization_config") -> Data:
    """What a quantisation says of a model's `dtypes`, and of its `weight_scales`, for the matrices and layers that its
    `shape` has.

    Raises:
        ConfigError: a method, or bits of it, that is not known, with those that are; a value of another kind.
    """
    data = keys.config.data
    method = data.get("quant_method")
    if method is None:
        method = _unnamed(data, key)
    if method is None:
        raise keys.error("quant_method", "missing key", one_of(METHODS))
    if not isinstance(method, str) or method not in METHODS:
        raise keys.error("quant_method", "quantisation", one_of(METHODS), nearest(str(method), METHODS))
    quantised = METHODS[method](keys)
    named, group = FORMATS[quantised.weights], quantised.group
    try:
        left = shares(quantised.modules, shape)
        others = {name: shares(modules, shape) for name, modules in quantised.others.items()}
    except re.error as error:
        raise keys.error(quantised.key, f"no regular expression: {error}", "one behind 're:'") from None
    standard = [rule.tensor for rule in KEPT if rule in named.rules]
    wide = dict.fromkeys(standard if quantised.kept is None else quantised.kept, 1.0) | left
    dtypes: Data = {"weights": quantised.weights}
    if group == ROW:
        group = shape.hidden
    elif group == MATRIX:
        group = round(_elements(shape, wide)[1])
    if quantised.beside:
        dtypes["weight_scales"] = quantised.beside / _elements(shape, wide)[0]
    if group and named.block.group and group != named.block.group:
        dtypes["group"] = group
    if wide != dict.fromkeys(standard, 1.0):
        dtypes["wide"] = list(wide.items())
    if any(others.values()):
        dtypes["mixed"] = [(tensor, name, part) for name, parts in others.items() for tensor, part in parts.items()]
    return dtypes | {key: value for key in ("kv", "compute") if (value := getattr(quantised, key))}


def _elements(shape: Model, wide: Mapping[str, float]) -> tuple[float, float]:
    """Elements of all matrices of the layers that are not `wide`, and of one of them in the mean."""
    from simulator.workload.model.weights import of_layer

    elements, number = 0.0, 0.0
    for layer, times in shape.kinds:
        experts = shape.moe.experts if shape.moe and layer.moe else 1
        for each in of_layer(shape, layer):
            narrow = times * (1.0 - wide.get(each.tensor, 0.0))
            if each.matrices and narrow:
                elements += narrow * each.matrices
                number += narrow * (experts if each.part == "experts" else 1)
    return elements, elements / max(number, 1.0)


def _unnamed(data: Mapping[str, Any], key: str) -> str | None:
    """The method of a config that does not name it: by the keys that it has."""
    if data.get("load_in_4bit") or data.get("load_in_8bit"):
        return "bitsandbytes"
    if "quant_algo" in data or isinstance(data.get("quantization"), dict):
        return "modelopt"
    if "config_groups" in data:
        return "compressed-tensors"
    return "mlx" if key == "quantization" or ("bits" in data and "group_size" in data) else None


def _group(keys: Keys, *names: str, default: int = 128) -> int:
    """How many weights share a scale; -1: all of a row."""
    size: int = keys.size(*names, default=default, least=-1)
    if size == 0:
        raise keys.error(names[0], "", "a whole number, 1 or more, or -1")
    return size


def _awq(keys: Keys) -> Quantised:
    if keys.size("bits", "w_bit", default=4) != 4:
        raise keys.error("bits", "bits of awq", "4")
    weights = "awq" if keys.flag("zero_point", default=True) else "w4a16"
    group = _group(keys, "group_size", "q_group_size")
    return Quantised(weights, keys.texts("modules_to_not_convert"), group=group)


def _gptq(keys: Keys) -> Quantised:
    """Whether groups follow the order of activations (`desc_act`) or are symmetric (`sym`) changes no size."""
    bits = keys.size("bits", default=4)
    weights = "gptq" if bits == 4 else f"gptq-int{bits}"
    if weights not in FORMATS:
        raise keys.error("bits", "bits of gptq", "2, 3, 4 or 8")
    keys.flag("desc_act", default=False), keys.flag("sym", default=True)
    dynamic = keys.mapping("dynamic") or {}
    if any(not name.startswith("-:") for name in dynamic):
        raise keys.error("dynamic", "formats by module", "modules to leave as they are, '-:...'")
    modules = [f"re:{name.removeprefix('-:')}" for name in dynamic] + keys.texts("modules_to_not_convert")
    kept = (*TABLES, *ROUTERS) if keys.flag("lm_head", default=False) else None
    return Quantised(weights, modules, "dynamic", kept, _group(keys, "group_size"))


def _bitsandbytes(keys: Keys) -> Quantised:
    """Blocks of 64, or a scale a row; modules of a config's own list take the place of the head."""
    key = "llm_int8_skip_modules"
    modules = keys.texts(key)
    kept = TABLES if modules else None
    eight, four = (any(keys.flag(f"{own}load_in_{n}bit", default=False) for own in ("", "_")) for n in (8, 4))
    if eight and four:
        raise keys.error("load_in_8bit", "both 8 and 4 bits", "one of load_in_8bit and load_in_4bit")
    if eight:
        return Quantised("bnb-int8", modules, key, kept)
    if not four:
        raise keys.error("load_in_4bit", "missing key", "true, or load_in_8bit: true")
    kind = keys.choice(
        "bnb_4bit_quant_type", known={"nf4": "nf4", "fp4": "nf4"}, default="fp4", what="format of 4 bits"
    )
    double = keys.flag("bnb_4bit_use_double_quant", default=False)
    compute = keys.choice("bnb_4bit_compute_dtype", known=NUMBERS, default="float32", what="number format")
    return Quantised(f"{kind}-double" if double else kind, modules, key, kept, compute=compute)


def _fp8(keys: Keys) -> Quantised:
    """A scale a tensor or row, or a block of `weight_block_size`."""
    block, modules = keys.numbers("weight_block_size"), keys.texts("modules_to_not_convert")
    if not block:
        return Quantised("fp8", modules)
    if len(block) != 2 or min(block) < 1:
        raise keys.error("weight_block_size", "", "rows and columns, such as [128, 128]")
    return Quantised("fp8-block", modules, group=block[0] * block[1])


def _mxfp4(keys: Keys) -> Quantised:
    return Quantised("mxfp4", keys.texts("modules_to_not_convert"))


def _compressed_tensors(keys: Keys) -> Quantised:
    """All groups of modules in one format; what is not ignored is quantised, the embedding never is."""
    groups = keys.within("config_groups")
    names = list(groups.config.data) if groups else []
    if groups is None or not names:
        raise keys.error("config_groups", "missing key", "a group of modules and its format")
    schemes = [_scheme(groups, name) for name in names]
    if len(set(schemes)) > 1:
        raise keys.error(
            "config_groups", f"groups of several formats, {', '.join(w for w, _ in schemes)}", "one format"
        )
    weights, group = schemes[0]
    return Quantised(weights, keys.texts("ignore"), "ignore", TABLES, group, _cache(keys))


def _scheme(groups: Keys, name: str) -> tuple[str, int | None]:
    """The format of a group of modules: by the bits and kind of number of weights, and of activations."""
    group = groups.within(name)
    weights = group and group.within("weights")
    if group is None or weights is None:
        raise groups.error(name, "missing key", "weights, with num_bits and type")
    if any(module != "Linear" for module in group.texts("targets")):
        raise group.error("targets", "some modules by their names", "['Linear'], and in 'ignore' those that are not")
    inputs = group.within("input_activations")
    numbers = (_number(weights), _number(inputs) if inputs else None)
    strategy, size = weights.config.data.get("strategy"), weights.size("group_size", default=None, least=-1)
    if numbers not in _SCHEMES:
        known = ", ".join(f"{w}{'' if a is None else f' with activations in {a}'}" for w, a in _SCHEMES)
        raise weights.error(
            "num_bits", f"weights in {numbers[0]}, activations in {numbers[1] or '16 bits'}", f"one of {known}"
        )
    named = _SCHEMES[numbers]
    if named == "w4a16" and not weights.flag("symmetric", default=True):
        named = "w4a16-asym"
    if named.startswith("nvfp4") and size == 32:
        named = "mxfp4"
    if named == "fp8" and strategy == "block":
        block = weights.numbers("block_structure")
        return "fp8-block", block[0] * block[1] if len(block) == 2 else None
    return named, -1 if strategy == "channel" else size


_SCHEMES = {
    ("int4", None): "w4a16",
    ("int4", "int8"): "w4a8",
    ("int4", "float8"): "w4a8-fp8",
    ("int4", "int4"): "w4a4",
    ("int8", None): "w8a16",
    ("int8", "int8"): "w8a8",
    ("float8", None): "w8a16",
    ("float8", "float8"): "fp8",
    ("float4", None): "nvfp4a16",
    ("float4", "float4"): "nvfp4",
}
"""Numbers of weights and of activations (None: 16 bits) -> the format."""


def _number(keys: Keys) -> str:
    bits = keys.size("num_bits", default=8)
    return keys.choice("type", known={"int": "int", "float": "float"}, default="int", what="kind of number") + str(bits)


def _cache(keys: Keys) -> str | None:
    """The format of the KV cache, where the config has one."""
    if isinstance(keys.config.data.get("kv_cache_scheme"), str):
        return keys.choice("kv_cache_scheme", known={"FP8": "fp8", "INT8": "int8"}, default="", what="KV cache")
    scheme = keys.within("kv_cache_scheme")
    if scheme is None:
        return None
    number = _number(scheme)
    if number not in ("float8", "int8"):
        raise scheme.error("num_bits", "KV cache", "8")
    return "fp8" if number == "float8" else "int8"


def _modelopt(keys: Keys) -> Quantised:
    """The algorithm by name, at the top or in `quantization`; modules to ignore are named, the head among them."""
    inner = keys.within("quantization") or keys
    if "quant_algo" not in inner.config.data and "config_groups" in keys.config.data:
        return _compressed_tensors(keys)
    weights = inner.choice("quant_algo", known=MODELOPT, default="", what="algorithm of modelopt")
    layers = inner.within("quantized_layers")
    if layers:
        return _mixed(layers, _modelopt_cache(inner))
    key = "exclude_modules" if inner.texts("exclude_modules") else "ignore"
    group = inner.size("group_size", default=None)
    return Quantised(weights, inner.texts(key), key, TABLES, group, _modelopt_cache(inner))


MODELOPT = {
    "FP8": "fp8",
    "FP8_PB_WO": "fp8-block",
    "FP8_PER_CHANNEL_PER_TOKEN": "fp8",
    "NVFP4": "nvfp4",
    "W4A16_NVFP4": "nvfp4a16",
    "MXFP8": "mxfp8",
    "MXFP4": "mxfp4",
    "W4A16_AWQ": "awq",
    "INT4_AWQ": "awq",
    "NVFP4_AWQ": "nvfp4",
    "W4A8_AWQ": "w4a8-fp8",
    "W8A8_SQ_PER_CHANNEL": "w8a8",
    "W8A16": "w8a16",
    "W4A16": "w4a16",
    "MIXED_PRECISION": "bf16",
}
"""modelopt's names of algorithms; of mixed precision, what no list names stays as wide as activations."""


def _modelopt_cache(keys: Keys) -> str | None:
    caches = {"FP8": "fp8", "INT8": "int8", "NVFP4": "nvfp4", "": ""}
    return keys.choice("kv_cache_quant_algo", known=caches, default="", what="KV cache") or _cache(keys)


def _mixed(layers: Keys, kv: str | None) -> Quantised:
    """Modules by name, each with its own algorithm."""
    others: dict[str, list[str]] = {}
    for name, value in layers.config.data.items():
        algorithm = value.get("quant_algo") if isinstance(value, dict) else None
        if algorithm not in MODELOPT:
            raise layers.error(name, "algorithm of modelopt", one_of(MODELOPT), nearest(str(algorithm), MODELOPT))
        others.setdefault(MODELOPT[algorithm], []).append(name)
    return Quantised("bf16", [], "quantized_layers", (), kv=kv, others=others)


def _mlx(keys: Keys) -> Quantised:
    """MLX: groups of 64 with a scale and a bias, embeddings and head too; modules that are false, or of other bits."""
    bits, data = keys.size("bits", default=4), keys.config.data
    mode = keys.choice("mode", known={"affine": "mlx", "mxfp4": "mxfp4"}, default="affine", what="mode of MLX")
    weights = mode if mode == "mxfp4" else f"mlx-{bits}bit"
    if weights not in FORMATS:
        raise keys.error("bits", "bits of MLX", "2, 3, 4, 5, 6 or 8")
    others: dict[str, list[str]] = {}
    for name in (name for name, value in data.items() if isinstance(value, dict)):
        module = keys.within(name)
        own = f"mlx-{module.size('bits', default=bits)}bit" if module else weights
        if own not in FORMATS:
            raise keys.error(name, "bits of MLX", "2, 3, 4, 5, 6 or 8")
        if own != weights:
            others.setdefault(own, []).append(name)
    left = [name for name, value in data.items() if value is False]
    return Quantised(weights, left, "quantization", (), _group_of(keys, weights), others=others)


def _group_of(keys: Keys, weights: str) -> int:
    group: int = keys.size("group_size", default=FORMATS[weights].block.group)
    return group


METHODS: dict[str, Callable[[Keys], Quantised]] = {
    "awq": _awq,
    "gptq": _gptq,
    "bitsandbytes": _bitsandbytes,
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "mxfp4": _mxfp4,
    "compressed-tensors": _compressed_tensors,
    "modelopt": _modelopt,
    "mlx": _mlx,
    **FURTHER,
}
"""`quant_method` -> the reader of its keys."""
