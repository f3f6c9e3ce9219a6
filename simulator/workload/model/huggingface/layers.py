"""The grammar in which a `config.json` says what each decoder layer is made of: lists, periods, counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from simulator.workload.model.huggingface.keys import REQUIRED, Keys

T = TypeVar("T")

LAYER_TYPES = {
    "full_attention": "attention", "attention": "attention", "full": "attention", "sliding_attention": "window",
    "chunked_attention": "chunk", "linear_attention": "linear", "mamba": "space", "mamba2": "space", "moe": "moe",
    "mlp": "ffn", "minimax_m3_sparse": "sparse", "compressed_sparse_attention": "sparse",
    "heavily_compressed_attention": "compressed", "kda": "linear", "lightning_attention": "linear",
    "global": "attention", "local": "window", "conv": "space",
    "deepseek_sparse_attention": "attention", "indexed_attention": "attention",
}  # fmt: skip
"""What `layer_types` and its kin call what mixes tokens, or what a layer without it is."""

SYMBOLS = {"M": "space", "*": "attention", "-": "ffn", "E": "moe"}
"""What `hybrid_override_pattern` calls them (Nemotron-H)."""


def mixers(keys: Keys, layers: int) -> list[str]:
    """What mixes tokens in each layer, or what a layer is that has one part alone."""
    for name, read in _MIXERS.items():
        if keys.has(name):
            chosen = read(keys, name, layers)
            if chosen is not None:
                return chosen
    return ["attention"] * layers


def mixing_key(keys: Keys) -> str:
    """The key that says what mixes tokens."""
    return next((name for name in _MIXERS if keys.has(name)), "layer_types")


def unlisted(keys: Keys) -> Keys:
    """These keys without any that says what mixes tokens in each layer, of a type whose layers are all alike."""
    return keys.replaced(dict.fromkeys(_MIXERS))


def listed(keys: Keys) -> Any:
    """How many layers a list of them has, of a config that says it in no other way."""
    names = ("layer_types", "layers_block_type", "hybrid_override_pattern")
    lists = (keys.config.data.get(name) for name in names)
    return next((len(each) for each in lists if isinstance(each, list | str)), REQUIRED)


def experts(keys: Keys, layers: int) -> list[bool]:
    """Whether each layer of a model with experts has them."""
    for name, read in _EXPERTS.items():
        if keys.has(name):
            return read(keys, name, layers)
    return [True] * layers


def shortest(pattern: Sequence[T]) -> list[T]:
    """The shortest beginning whose repetition gives all of a list, if it fits so often; else all of it."""
    for period in range(1, len(pattern) // 2 + 1):
        if all(pattern[i] == pattern[i % period] for i in range(period, len(pattern))):
            return list(pattern[:period])
    return list(pattern)


def _each(keys: Keys, name: str, layers: int) -> list[Any]:
    """A list with one entry a layer; what further layers have, such as those that predict tokens, is left."""
    value = keys.config.data.get(name)
    if not isinstance(value, list | str) or len(value) < layers:
        found = f"a list of {len(value)}" if isinstance(value, list | str) else repr(value)
        raise keys.error(name, f"a layer list: {found}", f"one entry for each of {layers} layers")
    extra = keys.predicted()
    if len(value) > layers + extra:
        raise keys.error(name, f"a layer list of {len(value)} entries", f"one for each of {layers} layers")
    keys.used.add(name)
    return list(value[:layers])


def _typed(keys: Keys, name: str, layers: int) -> list[str] | None:
    entries = _each(keys, name, layers)
    known = SYMBOLS if isinstance(keys.config.data[name], str) else LAYER_TYPES
    for entry in entries:
        if not isinstance(entry, str) or entry not in known:
            raise keys.error(name, f"layers of type '{entry}'", f"one of {', '.join(known)}")
    return [known[entry] for entry in entries]


def _flags(yes: str, no: str) -> Callable[[Keys, str, int], list[str]]:
    return lambda keys, name, layers: [yes if entry else no for entry in _each(keys, name, layers)]


def _last_of(period_of: str, others: str) -> Callable[[Keys, str, int], list[str]]:
    """The last layer of each period sees everything."""

    def read(keys: Keys, name: str, layers: int) -> list[str]:
        period = keys.size(name)
        return ["attention" if (i + 1) % period == 0 else others for i in range(layers)]

    return read


def _sliding_pattern(keys: Keys, name: str, layers: int) -> list[str] | None:
    """A period whose last layer sees everything (Gemma 3), or a text of `L` (local) and `G` (EXAONE 4)."""
    value = keys.config.data[name]
    if keys.config.data.get("sliding_window") is None:
        keys.used.add(name)
        return None
    if not isinstance(value, str):
        return _last_of(name, "window")(keys, name, layers)
    keys.used.add(name)
    return ["window" if value[i % len(value)] == "L" else "attention" for i in range(layers)]


def _offset(keys: Keys, name: str, layers: int) -> list[str]:
    """One layer of each period has attention, the others a state space (Jamba)."""
    period, offset = keys.size(name), keys.size("attn_layer_offset", default=4, least=0)
    return ["attention" if i % period == offset else "space" for i in range(layers)]


def _indices(keys: Keys, name: str, layers: int) -> list[str]:
    """Layers by number that have attention, the others a state space (Bamba)."""
    chosen = keys.numbers(name)
    return ["attention" if i in chosen else "space" for i in range(layers)]


def _linear_lists(keys: Keys, name: str, layers: int) -> list[str] | None:
    """Layers by number, counted from 1, that have linear attention (Kimi Linear)."""
    inner = keys.within(name)
    if inner is None or not inner.has("kda_layers"):
        return None
    linear = set(inner.numbers("kda_layers"))
    inner.numbers("full_attn_layers")
    return ["linear" if i + 1 in linear else "attention" for i in range(layers)]


def _ratios(keys: Keys, name: str, layers: int) -> list[str]:
    """Tokens an entry of compressed attention: few are chosen from (`sparse`), many are not; 0: a window alone."""
    keys.numbers(name)
    ratios = _each(keys, name, layers)
    least = min((ratio for ratio in ratios if ratio), default=0)
    return ["window" if not ratio else "sparse" if ratio == least else "compressed" for ratio in ratios]


def _sparse_frequency(keys: Keys, name: str, layers: int) -> list[str] | None:
    inner = keys.within(name)
    return None if inner is None else _flags("sparse", "attention")(inner, "sparse_attention_freq", layers)


def _indexers(keys: Keys, name: str, layers: int) -> list[str]:
    """Whether a layer ranks keys itself, or sees those of the layer before (GLM-5.2)."""
    return ["attention" if entry == "full" else "shared" for entry in _each(keys, name, layers)]


def _chunked(keys: Keys, name: str, layers: int) -> list[str] | None:
    """Layers with RoPE see a chunk, every fourth has neither (Llama 4)."""
    if not keys.has("no_rope_layers"):
        period = keys.size("no_rope_layer_interval", default=4)
        keys.size(name)
        return ["attention" if (i + 1) % period == 0 else "chunk" for i in range(layers)]
    return _flags("chunk", "attention")(keys, "no_rope_layers", layers)


def _repeated(keys: Keys, name: str, layers: int) -> list[str]:
    """Pairs of kinds and how often they are repeated: `[[[global, local], 12]]` (GPT-Neo)."""
    pairs = keys.config.data[name]
    try:
        kinds = [LAYER_TYPES[kind] for kind_list, times in pairs for _ in range(times) for kind in kind_list]
    except (KeyError, TypeError, ValueError):
        raise keys.error(name, "kinds of layers", "pairs such as [[global, local], 12]") from None
    if len(kinds) != layers:
        raise keys.error(name, f"a layer list of {len(kinds)} entries", f"one for each of {layers} layers")
    keys.used.add(name)
    return kinds


_MIXERS: dict[str, Callable[[Keys, str, int], list[str] | None]] = {
    "indexer_types": _indexers,
    "layer_types": _typed,
    "layers_block_type": _typed,
    "layer_block_type": _typed,
    "hybrid_override_pattern": _typed,
    "hybrid_layer_pattern": _flags("window", "attention"),
    "attn_type_list": _flags("attention", "linear"),
    "compress_ratios": _ratios,
    "sparse_attention_config": _sparse_frequency,
    "linear_attn_config": _linear_lists,
    "full_attention_interval": _last_of("full_attention_interval", "linear"),
    "attn_layer_period": _offset,
    "attn_layer_indices": _indices,
    "full_attn_idxs": _indices,
    "sliding_window_pattern": _sliding_pattern,
    "attention_chunk_size": _chunked,
    "attention_layers": _typed,
    "attention_types": _repeated,
}
"""Keys that say what mixes tokens, the first that a config has."""


def _frequency(keys: Keys, name: str, layers: int) -> list[bool]:
    """A list of flags, or every so many-th layer from the first dense ones on."""
    if isinstance(keys.config.data[name], list):
        return [bool(entry) for entry in _each(keys, name, layers)]
    every, dense = keys.size(name), keys.size("first_k_dense_replace", default=0, least=0)
    return [i >= dense and i % every == 0 for i in range(layers)]


def _dense_first(keys: Keys, name: str, layers: int) -> list[bool]:
    dense = keys.size(name, least=0)
    return [i >= dense for i in range(layers)]


def _interleaved(keys: Keys, name: str, layers: int) -> list[bool]:
    """The last of each step (Llama 4), unless layers are listed."""
    step, listed = keys.size(name, least=0), keys.numbers("moe_layers")
    return [i in listed if listed else step > 0 and (i + 1) % step == 0 for i in range(layers)]


def _sparse_step(keys: Keys, name: str, layers: int) -> list[bool]:
    step, dense = keys.size(name), keys.numbers("mlp_only_layers")
    return [(i + 1) % step == 0 and i not in dense for i in range(layers)]


def _period(keys: Keys, name: str, layers: int) -> list[bool]:
    period, offset = keys.size(name), keys.size("expert_layer_offset", default=1, least=0)
    return [i % period == offset for i in range(layers)]


def _interval(keys: Keys, name: str, layers: int) -> list[bool]:
    """From one layer to another, every so many-th (Ernie 4.5)."""
    every, first = keys.size(name), keys.size("moe_layer_start_index", default=0, least=0)
    last = keys.size("moe_layer_end_index", default=layers - 1, least=-1)
    return [first <= i <= (layers - 1 if last < 0 else last) and (i + 1) % every == 0 for i in range(layers)]


_EXPERTS: dict[str, Callable[[Keys, str, int], list[bool]]] = {
    "mlp_layer_types": lambda keys, name, layers: [entry != "dense" for entry in _each(keys, name, layers)],
    "moe_layer_freq": _frequency,
    "first_k_dense_replace": _dense_first,
    "interleave_moe_layer_step": _interleaved,
    "decoder_sparse_step": _sparse_step,
    "expert_layer_period": _period,
    "moe_layer_interval": _interval,
    "num_dense_layers": _dense_first,
}
"""Keys that say which layers have experts, the first that a config has."""
