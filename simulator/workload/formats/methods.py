"""Readers of methods that have libraries of their own: HQQ, AQLM, VPTQ, EETQ, Quanto, torchao, AutoRound, ..."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from simulator.errors import nearest, one_of
from simulator.workload.formats.named import FORMATS
from simulator.workload.formats.quantised import MATRIX, Quantised
from simulator.workload.model.huggingface.keys import Keys


def _known(keys: Keys, key: str, name: str, method: str) -> str:
    """The format of that name, which must be one of a method's."""
    if name not in FORMATS:
        known = [each.removeprefix(f"{method}-") for each in FORMATS if each.startswith(f"{method}-")]
        raise keys.error(key, f"{method}, as {name.removeprefix(f'{method}-')}", one_of(known))
    return name


def _hqq(keys: Keys) -> Quantised:
    """Bits and groups at the top, or in `quant_config.weight_quant_params`; a scale and a zero of 16 bits a group."""
    inner = keys.within("quant_config") or keys
    inner = inner.within("weight_quant_params") or inner
    bits = inner.size("nbits", "bits", default=4)
    weights = _known(inner, "nbits", f"hqq-{bits}bit", "hqq")
    modules = keys.texts("skip_modules") or ["lm_head"]
    return Quantised(weights, modules, "skip_modules", group=inner.size("group_size", default=64))


def _aqlm(keys: Keys) -> Quantised:
    """Sums of vectors of `in_group_size` weights from codebooks, which a matrix has of its own."""
    if keys.size("in_group_size", default=8) != 8 or keys.size("out_group_size", default=1) != 1:
        name = "in_group_size" if keys.size("in_group_size", default=8) != 8 else "out_group_size"
        raise keys.error(name, "vectors of aqlm", "8 weights of a row: in_group_size 8, out_group_size 1")
    codes = f"{keys.size('num_codebooks', default=1)}x{keys.size('nbits_per_codebook', default=16)}"
    weights = _known(keys, "nbits_per_codebook", f"aqlm-{codes}", "aqlm")
    key = "linear_weights_not_to_quantize"
    modules = [name.removesuffix(".weight") for name in keys.texts(key)]
    return Quantised(weights, modules, key, group=MATRIX)


def _vptq(keys: Keys) -> Quantised:
    """Vectors from a codebook and perhaps another of what is left, as the first layer of the config has it."""
    layers = keys.within("config_for_layers")
    own = keys.within("shared_layer_config")
    names = list(layers.config.data) if layers else []
    first = layers.within(names[0]) if layers and names else own
    if first is None:
        raise keys.error("config_for_layers", "missing key", "the vectors and centroids of each module")
    vector, centroids, left = (
        (first.numbers(name) or [-1, -1])[-1] for name in ("vector_lens", "num_centroids", "num_res_centroids")
    )
    weights = _known(first, "num_centroids", f"vptq-{vector}-{centroids}-{max(left, 0)}", "vptq")
    return Quantised(weights, keys.texts("modules_to_not_convert"), group=MATRIX)


def _eetq(keys: Keys) -> Quantised:
    weights = keys.choice("weights", known={"int8": "w8a16"}, default="int8", what="weights of eetq")
    return Quantised(weights, keys.texts("modules_to_not_convert"))


def _quanto(keys: Keys) -> Quantised:
    """Weights of 8 bits with a scale a channel, of fewer with a scale and a shift a group."""
    wide = {"int8": "w8a16", "float8": "w8a16", "int4": "quanto-int4", "int2": "quanto-int2"}
    weights = keys.choice("weights", known=wide, default="int8", what="weights of quanto")
    both = keys.choice("activations", known={"": "", "int8": "w8a8", "float8": "fp8"}, default="", what="activations")
    return Quantised(both if both and weights == "w8a16" else weights, keys.texts("modules_to_not_convert"))


TORCHAO = {
    "int4_weight_only": "torchao-int4",
    "int8_weight_only": "w8a16",
    "float8_weight_only": "w8a16",
    "int8_dynamic_activation_int8_weight": "w8a8",
    "int8_dynamic_activation_int4_weight": "w4a8",
    "float8_dynamic_activation_float8_weight": "fp8",
    "float8_dynamic_activation_int4_weight": "w4a8-fp8",
}
"""torchao's names, as functions have them; its classes are the same in another case, with `Config` behind."""


def _torchao(keys: Keys) -> Quantised:
    """`quant_type` by name, or as a class with its figures: `{default: {_type: ..., _data: {group_size}}}`."""
    kind: Any = keys.config.data.get("quant_type")
    figures = keys.within("quant_type_kwargs")
    keys.used.add("quant_type")
    if isinstance(kind, dict):
        default = keys.within("quant_type")
        default = default and (default.within("default") or default)
        kind, figures = default and default.config.data.get("_type"), default and default.within("_data")
    if kind is None:
        raise keys.error("quant_type", "missing key", one_of(TORCHAO))
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(kind).removesuffix("Config")).lower()
    if name not in TORCHAO:
        raise keys.error("quant_type", f"torchao, as {name}", one_of(TORCHAO), nearest(name, TORCHAO))
    group = figures.size("group_size", default=None) if figures and "int4" in name else None
    tables = () if keys.flag("include_input_output_embeddings", default=False) else None
    return Quantised(TORCHAO[name], keys.texts("modules_to_not_convert"), kept=tables, group=group)


def _auto_round(keys: Keys) -> Quantised:
    """Packed as GPTQ or AWQ are; or in a block format of OCP or NVIDIA (`data_type`). Modules of 16 bits stay."""
    bits, kind = keys.size("bits", default=4), keys.config.data.get("data_type", "int")
    keys.used.add("data_type")
    blocks = {("mx_fp", 4): "mxfp4", ("mx_fp", 8): "mxfp8", ("nv_fp", 4): "nvfp4", ("fp8", 8): "fp8"}
    plain = {2: "gptq-int2", 3: "gptq-int3", 4: "gptq", 8: "gptq-int8"}
    weights = plain.get(bits) if kind == "int" else blocks.get((str(kind), bits))
    if weights is None:
        expected = "int of 2, 3, 4 or 8 bits, mx_fp of 4 or 8, nv_fp of 4 or fp8 of 8"
        raise keys.error("bits", f"auto-round, as {kind} of {bits} bits", expected)
    extra = keys.mapping("extra_config") or {}
    left = [name for name, own in extra.items() if isinstance(own, dict) and own.get("bits", bits) >= 16]
    group = keys.size("group_size", default=128, least=-1) if kind == "int" else None
    return Quantised(weights, left, "extra_config", group=group)


def _higgs(keys: Keys) -> Quantised:
    weights = _known(keys, "bits", f"higgs-{keys.size('bits', default=4)}bit", "higgs")
    modules = keys.texts("modules_to_not_convert") or ["lm_head"]
    return Quantised(weights, modules, group=keys.size("group_size", default=256))


def _spqr(keys: Keys) -> Quantised:
    """Tiles of 16 x 16; beside them what `shapes` counts, 4 B each: outliers with their columns, where rows begin, and
    permutations.
    """
    for name, only in (("bits", 3), ("beta1", 16), ("beta2", 16)):
        if keys.size(name, default=only) != only:
            raise keys.error(name, f"{name} of spqr", str(only))
    shapes = keys.mapping("shapes") or {}
    if not all(type(number) is int and number >= 0 for number in shapes.values()):
        raise keys.error("shapes", "", "whole numbers, 0 or more, by tensor")
    beside = 4.0 * sum(number for name, number in shapes.items() if not name.endswith(".dense_weights.shape"))
    return Quantised("spqr", keys.texts("modules_to_not_convert"), beside=beside)


def _bitnet(keys: Keys) -> Quantised:
    return Quantised("bitnet", keys.texts("modules_to_not_convert"))


METHODS: dict[str, Callable[[Keys], Quantised]] = {
    "hqq": _hqq,
    "aqlm": _aqlm,
    "eetq": _eetq,
    "quanto": _quanto,
    "torchao": _torchao,
    "auto-round": _auto_round,
    "intel/auto-round": _auto_round,
    "higgs": _higgs,
    "spqr": _spqr,
    "vptq": _vptq,
    "bitnet": _bitnet,
}
"""`quant_method` -> the reader of its keys."""
