"""The keys of a Hugging Face `config.json`, each read as what it must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from simulator.config import Config
from simulator.errors import ConfigError, described
from simulator.units import MOST_COUNT

REQUIRED: Any = object()

HIDDEN = ("hidden_size", "n_embed", "n_embd", "d_model")
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KV_HEADS = ("num_key_value_heads", "num_attention_groups", "multi_query_group_num", "num_kv_heads", "n_head_kv")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_moe_experts")
TOP_K = (
    "num_experts_per_tok", "num_experts_per_token", "top_k_experts", "experts_per_token", "moe_k", "moe_topk",
    "moe_top_k",
)  # fmt: skip
SYNONYMS = (
    *(HIDDEN, LAYERS, HEADS, KV_HEADS, EXPERTS, TOP_K),
    ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim"),
    ("ssm_state_size", "mamba_d_state", "state_size"),
    ("conv_kernel", "mamba_d_conv"),
    ("mamba_num_heads", "mamba_n_heads"),
    ("n_groups", "mamba_n_groups"),
    ("mamba_expand", "expand"),
    ("torch_dtype", "dtype"),
)  # fmt: skip
"""Names of one key each; other names that are looked for in turn are keys of their own."""


@dataclass(frozen=True)
class Keys:
    """Some keys have had several names over the years: the first that is there and not null counts.

    Names of one key (`SYNONYMS`) must say the same.

    Each method returns `default` where there is none, and raises `ConfigError` with file, line and key where there is
    no default or the value is of another kind.
    """

    config: Config
    prefix: tuple[str, ...] = ()
    used: set[str] = field(default_factory=set)
    """Keys that were read, as paths from the file's top."""

    def has(self, name: str) -> bool:
        """Whether the key is there and not null."""
        return self.config.data.get(name) is not None

    def with_defaults(self, defaults: Mapping[str, Any]) -> Keys:
        """These keys, and those of `defaults` that are not there by any of their names."""
        own = {name: value for name, value in defaults.items() if not any(map(self.has, _others(name)))}
        return replace(self, config=replace(self.config, data={**own, **self.config.data}))

    def replaced(self, figures: Mapping[str, Any]) -> Keys:
        """These keys with other values."""
        return replace(self, config=replace(self.config, data={**self.config.data, **figures}))

    def left(self) -> list[str]:
        """Keys that say something and were not read: null, false and empty say nothing."""
        stated = (key for key, value in self.config.data.items() if value not in (None, False, [], {}, ""))
        return [key for key in stated if key not in self.used]

    def predicted(self) -> int:
        """Layers that predict further tokens, which some lists of layers have entries for."""
        names = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules", "mtp_num_layers")
        number: int = self.size(*names, default=0, least=0)
        return number

    def within(self, name: str) -> Keys | None:
        """The keys of a mapping that is the value of a key; None where there is none, or null."""
        section = self.mapping(name)
        if section is None:
            return None
        marks = {path[1:]: mark for path, mark in self.config.marks.items() if path[:1] == (name,)}
        return Keys(replace(self.config, data=section, marks=marks), (*self.prefix, name))

    def size(self, *names: str, default: Any = REQUIRED, least: int = 1, most: int = MOST_COUNT) -> Any:
        """A whole number, from `least` to `most`."""
        name, value = self._first(names, default)
        if name is not None and not (type(value) is int and least <= value <= most):
            bound = f", and at most {most:,}" if type(value) is int and value > most else ""
            raise self.error(name, "", f"a whole number, {least} or more{bound}")
        return value

    def flag(self, *names: str, default: bool) -> bool:
        """True or false."""
        name, value = self._first(names, default)
        if name is not None and type(value) is not bool:
            raise self.error(name, "", "true or false")
        return bool(value)

    def choice(self, *names: str, known: dict[str, str], default: str, what: str) -> str:
        """Our word for the value, which must be one of those `known`."""
        name, value = self._first(names, default)
        if not isinstance(value, str) or value not in known:
            raise self.error(name or names[0], what, f"one of {', '.join(known)}")
        return known[value]

    def number(self, name: str, default: float) -> float:
        """A number above 0."""
        _, value = self._first((name,), default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self.error(name, "", "a number above 0")
        return float(value)

    def numbers(self, name: str) -> list[int]:
        """A list of whole numbers; empty by default."""
        _, value = self._first((name,), [])
        if not isinstance(value, list) or any(type(item) is not int for item in value):
            raise self.error(name, "", "a list of whole numbers")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts; empty by default."""
        _, value = self._first((name,), [])
        if not isinstance(value, list) or any(type(item) is not str for item in value):
            raise self.error(name, "", "a list of texts")
        return value

    def mapping(self, name: str) -> dict[str, Any] | None:
        """A mapping; None by default."""
        _, value = self._first((name,), None)
        if value is not None and not isinstance(value, dict):
            raise self.error(name, "", "a mapping")
        return value

    def null(self, name: str) -> bool:
        """Whether the key is there and null, which for some keys is not the same as absent."""
        self.used.add(name)
        return name in self.config.data and self.config.data[name] is None

    def error(self, name: str, message: str, expected: str, near: str | None = None) -> ConfigError:
        """An error about the value of `name`."""
        data, marks = self.config.data, self.config.marks
        mark = marks.get((name,))
        found, line = described(data[name]) if name in data else None, mark.line if mark else None
        path = (*self.prefix, name) if self.prefix else name
        return ConfigError(
            message, file=self.config.file, line=line, path=path, found=found, expected=expected, nearest=near
        )

    def _first(self, names: tuple[str, ...], default: Any) -> tuple[str | None, Any]:
        self.used.update(names)
        for name in filter(self.has, names):
            self._agree(name, names)
            return name, self.config.data[name]
        if default is REQUIRED:
            raise self.error(names[0], "missing key", "a value")
        return None, default

    def _agree(self, name: str, names: tuple[str, ...]) -> None:
        """Refuse a key that has another value under another of its names."""
        value = self.config.data[name]
        for other in _others(name):
            if other in names and self.has(other) and self.config.data[other] != value:
                raise self.error(other, f"another name of '{name}'", f"{described(value)}, as that has it")


def _others(name: str) -> tuple[str, ...]:
    """The other names of a key."""
    return next((tuple(each for each in same if each != name) for same in SYNONYMS if name in same), ())


def text_part(keys: Keys) -> Keys:
    """The keys of the language model inside a config that has others too."""
    for name in ("text_config", "llm_config", "language_config", "thinker_config"):
        inner = keys.within(name) if isinstance(keys.config.data.get(name), dict) else None
        if inner is not None:
            return text_part(inner)
    return keys
