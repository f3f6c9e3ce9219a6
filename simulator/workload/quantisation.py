"""Reads the `quantization_config` of a Hugging Face `config.json`: which format, in which groups, what stays wide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from simulator.errors import nearest, one_of
from simulator.workload.format import KEPT, TABLES
from simulator.workload.formats import FORMATS
from simulator.workload.keys import Keys
from simulator.workload.modules import shares

Data = dict[str, Any]
NUMBERS = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
"""torch's names of number formats."""


def quantisation(model: Keys, keys: Keys) -> Data:
    """What a quantisation says of a model's `dtypes` (`workload/model.py`).

    Raises:
        ConfigError: a method, or bits of it, that is not known, with those that are; a value of another kind.
    """
    data = keys.config.data
    method = data.get("quant_method")
    if method is None and (data.get("load_in_4bit") or data.get("load_in_8bit")):
        method = "bitsandbytes"
    if not isinstance(method, str) or method not in METHODS:
        raise keys.error("quant_method", "quantisation", one_of(METHODS), nearest(str(method), METHODS))
    layers = model.size("num_hidden_layers", "n_layer")
    hidden = model.size("hidden_size", "n_embed")
    found = METHODS[method](keys)
    kept, also = found.pop("kept"), found.pop("also")
    size, named = found.pop("group", None), FORMATS[found["weights"]]
    if size == -1:  # a row is one group
        size = hidden
    if size and named.block.group and size != named.block.group:
        found["group"] = size
    wide = dict.fromkeys(kept, 1.0) | shares(also, layers)
    if wide != {rule.tensor: 1.0 for rule in KEPT if rule in named.rules}:
        found["wide"] = list(wide.items())
    return found


def _found(weights: str, also: Iterable[str], kept: Iterable[str] | None = None, group: int | None = None) -> Data:
    """A format, its group, the matrices that the method keeps wide (as our names) and those that the config names."""
    standard = [rule.tensor for rule in KEPT if rule in FORMATS[weights].rules]
    return {"weights": weights, "also": list(also), "kept": standard if kept is None else list(kept), "group": group}


def _group(keys: Keys, *names: str, default: int = 128) -> int:
    """How many weights share a scale; -1: all of a row."""
    size: int = keys.size(*names, default=default, least=-1)
    if size == 0:
        raise keys.error(names[0], "", "a whole number, 1 or more, or -1")
    return size


def _awq(keys: Keys) -> Data:
    if keys.size("bits", "w_bit", default=4) != 4:
        raise keys.error("bits", "bits of awq", "4")
    weights = "awq" if keys.flag("zero_point", True) else "w4a16"
    return _found(weights, keys.texts("modules_to_not_convert"), group=_group(keys, "group_size", "q_group_size"))


def _gptq(keys: Keys) -> Data:
    """Whether groups follow the order of activations (`desc_act`) or are symmetric (`sym`) changes no size."""
    bits = keys.size("bits", default=4)
    weights = "gptq" if bits == 4 else f"gptq-int{bits}"
    if weights not in FORMATS:
        raise keys.error("bits", "bits of gptq", "2, 3, 4 or 8")
    keys.flag("desc_act", False), keys.flag("sym", True)
    dynamic = keys.mapping("dynamic") or {}
    if any(not name.startswith("-:") for name in dynamic):
        raise keys.error("dynamic", "formats by module", "modules to leave as they are, '-:...'")
    also = [f"re:{name.removeprefix('-:')}" for name in dynamic] + keys.texts("modules_to_not_convert")
    kept = [rule.tensor for rule in KEPT if rule.tensor != "lm_head"] if keys.flag("lm_head", False) else None
    return _found(weights, also, kept, _group(keys, "group_size"))


def _bitsandbytes(keys: Keys) -> Data:
    """Blocks of 64, or a scale a row; modules of a config's own list take the place of the head."""
    also = keys.texts("llm_int8_skip_modules")
    kept = TABLES if also else None
    if keys.flag("load_in_8bit", False) or keys.flag("_load_in_8bit", False):
        return _found("bnb-int8", also, kept)
    kind = keys.choice(
        "bnb_4bit_quant_type", known={"nf4": "nf4", "fp4": "nf4"}, default="fp4", what="format of 4 bits"
    )
    double = keys.flag("bnb_4bit_use_double_quant", False)
    compute = keys.choice("bnb_4bit_compute_dtype", known=NUMBERS, default="float32", what="number format")
    return _found(f"{kind}-double" if double else kind, also, kept) | {"compute": compute}


def _fp8(keys: Keys) -> Data:
    """A scale a tensor or row, or a block of `weight_block_size`."""
    block, also = keys.numbers("weight_block_size"), keys.texts("modules_to_not_convert")
    if not block:
        return _found("fp8", also)
    if len(block) != 2 or min(block) < 1:
        raise keys.error("weight_block_size", "", "rows and columns, such as [128, 128]")
    return _found("fp8-block", also, group=block[0] * block[1])


def _mxfp4(keys: Keys) -> Data:
    return _found("mxfp4", keys.texts("modules_to_not_convert"))


def _compressed_tensors(keys: Keys) -> Data:
    """All groups of modules in one format; what is not ignored is quantised, the embedding never is."""
    groups = keys.within("config_groups")
    names = list(groups.config.data) if groups else []
    if groups is None or not names:
        raise keys.error("config_groups", "missing key", "a group of modules and its format")
    found = [_scheme(groups, name) for name in names]
    if any(each != found[0] for each in found):
        raise keys.error("config_groups", f"groups of several formats, {', '.join(w for w, _ in found)}", "one format")
    (weights, group), also = found[0], keys.texts("ignore")
    return _found(weights, also, TABLES, group) | _cache(keys)


def _scheme(groups: Keys, name: str) -> tuple[str, int | None]:
    """The format of a group of modules: by the bits and kind of number of weights, and of activations."""
    group = groups.within(name)
    weights = group and group.within("weights")
    if group is None or weights is None:
        raise groups.error(name, "missing key", "weights, with num_bits and type")
    inputs = group.within("input_activations")
    ours = (_number(weights), _number(inputs) if inputs else None)
    strategy, size = weights.config.data.get("strategy"), weights.size("group_size", default=None, least=-1)
    if ours not in _SCHEMES:
        known = ", ".join(f"{w}{'' if a is None else f' with activations in {a}'}" for w, a in _SCHEMES)
        raise weights.error(
            "num_bits", f"weights in {ours[0]}, activations in {ours[1] or '16 bits'}", f"one of {known}"
        )
    named = _SCHEMES[ours]
    if named == "w4a16" and not weights.flag("symmetric", True):
        named = "w4a16-asym"
    if ours[0] == "float4" and size == 32:
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


def _cache(keys: Keys) -> Data:
    """The format of the KV cache, where the config has one."""
    scheme = keys.within("kv_cache_scheme")
    if scheme is None:
        return {}
    number = _number(scheme)
    if number not in ("float8", "int8"):
        raise scheme.error("num_bits", "KV cache", "8")
    return {"kv": "fp8" if number == "float8" else "int8"}


def _modelopt(keys: Keys) -> Data:
    """The algorithm by name, at the top or in `quantization`; modules to ignore are named, the head among them."""
    inner = keys.within("quantization") or keys
    if "quant_algo" not in inner.config.data and "config_groups" in keys.config.data:
        return _compressed_tensors(keys)
    names = {
        "FP8": "fp8",
        "FP8_PB_WO": "fp8-block",
        "NVFP4": "nvfp4",
        "W4A16_AWQ": "awq",
        "INT4_AWQ": "awq",
        "W4A8_AWQ": "w4a8-fp8",
    }
    weights = inner.choice("quant_algo", known=names, default="", what="algorithm of modelopt")
    also = [*inner.texts("ignore"), *inner.texts("exclude_modules")]
    group = inner.size("group_size", default=None)
    caches = {"FP8": "fp8", "INT8": "int8", "": ""}
    kv = inner.choice("kv_cache_quant_algo", known=caches, default="", what="KV cache")
    return _found(weights, also, TABLES, group) | ({"kv": kv} if kv else _cache(inner))


METHODS: dict[str, Callable[[Keys], Data]] = {
    "awq": _awq,
    "gptq": _gptq,
    "bitsandbytes": _bitsandbytes,
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "mxfp4": _mxfp4,
    "compressed-tensors": _compressed_tensors,
    "modelopt": _modelopt,
}
"""`quant_method` -> the reader of its keys."""
