"""What rules make of a model: of each part of each layer, which share lies where, and how many bytes these are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

from simulator.errors import ConfigError
from simulator.mapping.footprint.kept import copies
from simulator.mapping.parallel.tensor import layer_parts
from simulator.mapping.placement.amount import amount_of
from simulator.mapping.placement.cache import experts_of
from simulator.mapping.placement.rule import LAYERED, PARTS, Rule, runs
from simulator.mapping.placement.spot import Spot, spots
from simulator.mapping.target import Target
from simulator.workload import Block, Model, Operator, decode, operator_graph
from simulator.workload.batch import PhaseName
from simulator.workload.model.parameters import weight_bytes_by_class

PHASES: tuple[PhaseName, ...] = ("prefill", "decode")
Shares: TypeAlias = tuple[tuple[Spot, float], ...]
"""Where the parts of something lie, which are all of it."""
Place: TypeAlias = tuple[str, int]
"""A part, and the layer that it is of; 0 of what is of none."""


def part_of(block: Block, operator: Operator) -> str:
    """The part of a model that an operator belongs to, by its name in its block."""
    name = re.sub(r"^\d+\.", "", operator.name)
    if not period(block):
        return "layer_embedding" if name == "layer_embedding" else block.name
    if name.startswith(("moe.experts.", "moe.dispatch", "moe.combine")):
        return "experts"
    if name.startswith(("moe.", "ffn.")):
        return "ffn"
    return "kv" if operator.kind == "cache" or re.match(r"attention\.(scores|softmax|values)", name) else "attention"


def place_of(operator: str) -> int:
    """The place of an operator's layer in the pattern that its block is."""
    number = re.match(r"^(\d+)\.", operator)
    return int(number[1]) if number else 0


def period(block: Block) -> int:
    """The layers that a block repeats as one pattern; 0 of embedding and head, which are no layer."""
    return 0 if block.name in ("embedding", "head") else 1 + max(map(place_of, block.graph))


@lru_cache(maxsize=64)
def weights_of(model: Model, ways: int) -> Mapping[Place, float]:
    """Bytes of the weights of each part of each layer on `ways` devices together, with those that each keeps whole.

    A head that shares the table of the embedding has none of its own.
    """
    experts = float(model.moe.experts) if model.moe else 0.0
    sizes: dict[Place, float] = {
        (name, 0): weight_bytes_by_class(model)[name] for name in ("embedding", "layer_embedding")
    }
    start = 0
    for block in operator_graph(model, decode(1, 1), lambda _: experts).blocks:
        layers = period(block)
        for operator in block.operators:
            if operator.kind == "embedding" or (operator.name == "lm_head" and model.tied_embeddings):
                continue
            size = float(operator.bytes.get("weight", 0.0) + operator.bytes.get("expert", 0.0))
            size += copies(operator, ways)
            if not size:
                continue
            part, first = part_of(block, operator), start + place_of(operator.name)
            for layer in range(first, first + block.repeat * layers, layers) if layers else (0,):
                sizes[part, layer] = sizes.get((part, layer), 0.0) + size
        start += block.repeat * layers
    return sizes


def layer_kv(model: Model, ways: int, context: float) -> list[float]:
    """Bytes that a sequence keeps in each layer, on all devices together."""
    kept = {
        layer: sum(float(size) * ways / parts for size, parts in layer_parts(model, layer, context, ways))
        for layer, _ in model.kinds
    }
    return [kept[layer] for layer in model.decoder]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the parts of a model lie, by phase, part and layer.

    Attributes:
        target: the engine of the mapping.
        home: where all lies that no rule has elsewhere.
        shares: of each phase, part and layer.
        kv: bytes of keys and values of all sequences in each layer.
    """

    target: Target
    model: Model
    home: Spot
    shares: Mapping[tuple[PhaseName, str, int], Shares]
    kv: Sequence[float]

    def of(self, phase: PhaseName, part: str, layer: int) -> Shares:
        return self.shares[phase, part, layer if part in LAYERED else 0]

    @cached_property
    def cached(self) -> Mapping[int, Spot]:
        """The layers whose experts are cached, each with where all of them lie."""
        spots = {layer: shares[0][0] for (_, part, layer), shares in self.shares.items() if part == "experts"}
        return {layer: spot for layer, spot in spots.items() if spot.cache and ("experts", layer) in self.weights}

    def expert(self, layer: int) -> float:
        """Bytes of one routed expert of a layer."""
        return self.weights["experts", layer] / experts_of(self.model)

    def engine(self, phase: PhaseName, part: str, layer: int) -> str:
        """The engine that computes a part."""
        return next((spot.by for spot, _ in self.of(phase, part, layer) if spot.by), self.target.name)

    def key(self, phase: PhaseName, layer: int) -> tuple[Shares, ...]:
        """What layers have in common that are placed alike."""
        return tuple(self.of(phase, part, layer) for part in LAYERED)

    @cached_property
    def weights(self) -> Mapping[Place, float]:
        """Bytes of each part of each layer; of a shared table that the head reads from elsewhere, a copy."""
        sizes = dict(weights_of(self.model, self.target.ways))
        if self.model.tied_embeddings and any(self.of(p, "head", 0) != self.of(p, "embedding", 0) for p in PHASES):
            sizes["head", 0] = sizes.get(("head", 0), 0.0) + sizes["embedding", 0]
        return sizes

    def used(self, part: str, layer: int) -> float:
        """Bytes of the weights of a part that a pass needs: of a head that shares a table, the table too."""
        shared = self.model.tied_embeddings and part == "head"
        own = self.weights.get((part, layer), 0.0)
        table = self.weights["embedding", 0] if shared else 0.0
        return max(own, table) if shared else own

    def bytes_of(self, part: str, layers: Sequence[int]) -> float:
        """Bytes of a part in some layers: of weights, or of keys and values."""
        return sum(self.kv[layer] if part == "kv" else self.weights.get((part, layer), 0.0) for layer in layers)


def where(layout: Layout) -> Iterator[tuple[PhaseName | None, str, list[int], Shares]]:
    """Where each part lies: the layers that lie alike together; a phase, where the two differ."""
    for part in PARTS:
        groups: dict[tuple[PhaseName | None, Shares], list[int]] = {}
        for layer in range(len(layout.kv)) if part in LAYERED else (0,):
            shares_of = {phase: layout.of(phase, part, layer) for phase in PHASES}
            first, later = shares_of.values()
            for key in [(None, later)] if first == later else shares_of.items():
                groups.setdefault(key, []).append(layer)
        for (phase, shares), layers in groups.items():
            yield phase, part, layers, shares


def spans(layers: Sequence[int]) -> str:
    """Numbers of layers as runs: `0-3, 7`."""
    runs_of: list[list[int]] = []
    for layer in layers:
        if runs_of and layer == runs_of[-1][-1] + 1:
            runs_of[-1].append(layer)
        else:
            runs_of.append([layer])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs_of)


def layout(rules: Sequence[Rule], target: Target, model: Model, kv: Sequence[float], pinned: bool = True) -> Layout:
    """The places of all parts by rules, of which the first that matches counts; an amount leaves the rest to others.

    Raises:
        ConfigError: a rule that names what machine or model lack, or that cannot be; by its number and key.
    """
    home = Spot(target.tier)
    sizes = dict(weights_of(model, target.ways)) | {("kv", layer): size for layer, size in enumerate(kv)}
    resolved = []
    for number, rule in enumerate(rules):
        try:
            resolved.append((rule, _matched(rule, model), tuple(spots(rule, target, pinned))))
        except ConfigError as error:
            error.path = ("placement", number, *(error.path or ()))
            raise
    _check_caches(rules, model)
    left: dict[tuple[PhaseName, str, int], float] = {}
    shares: dict[tuple[PhaseName, str, int], list[tuple[Spot, float]]] = {}
    for phase in PHASES:
        for part in PARTS:
            for layer in range(len(model.decoder) if part in LAYERED else 1):
                left[phase, part, layer], shares[phase, part, layer] = 1.0, []
    for number, (rule, places, named) in enumerate(resolved):
        share = share_of(rule, places, sizes)
        if rule.amount and any(spot.use == "compute" for spot, _ in named):
            places, share = _whole_layers(rule, number, places, sizes), 1.0
        for phase in PHASES if rule.phase is None else (rule.phase,):
            for place in places:
                key = (phase, *place)
                more = min(share, left[key])
                if more > 0:
                    shares[key] += [(spot, each * more) for spot, each in named]
                    left[key] -= more
    for key, rest in left.items():
        if rest > 1e-12:
            shares[key].append((home, rest))
    _check_whole(shares, rules)
    return Layout(target, model, home, {key: tuple(each) for key, each in shares.items()}, kv)


def _check_caches(rules: Sequence[Rule], model: Model) -> None:
    """Nothing where at most one rule has a cache, whose routing is of the model.

    Raises:
        ConfigError: another has; a recording that cannot be read, or of another model.
    """
    caches = [(number, rule.cache) for number, rule in enumerate(rules) if rule.cache]
    for number, _ in caches[1:]:
        raise ConfigError(path=("placement", number, "cache"), found="a second one", expected="one for all layers")
    for number, cache in caches:
        try:
            cache.chooser(model)
        except ConfigError as error:
            if error.file is None:
                error.path = ("placement", number, "cache", *(error.path or ()))
            raise


def _check_whole(
    shares: Mapping[tuple[PhaseName, str, int], Sequence[tuple[Spot, float]]], rules: Sequence[Rule]
) -> None:
    """Nothing where a cache is of all experts of its layers; else a ConfigError of its rule."""
    for (_, _, layer), several in shares.items():
        if len(several) > 1 and any(spot.cache for spot, _ in several):
            number = next(number for number, rule in enumerate(rules) if rule.cache)
            found, expected = f"a share of the experts of layer {layer}", "all of them: no amount in a rule before"
            raise ConfigError(path=("placement", number, "cache"), found=found, expected=expected)


def _matched(rule: Rule, model: Model) -> list[Place]:
    """The parts of layers that a rule is of.

    Raises:
        ConfigError: layers that the model lacks, or of parts that are of none; experts of a model without any.
    """
    number = len(model.decoder)
    if not rule.of:
        return []
    if rule.layers and not any(part in LAYERED for part in rule.of):
        raise ConfigError(path=("layers",), found=f"'{rule.layers}' of {', '.join(rule.of)}", expected="none")
    layers = list(_numbers(rule.layers, number, model.name)) if rule.layers else list(range(number))
    if rule.of == ("experts",) and not any(layer.moe for layer in model.decoder):
        raise ConfigError(path=("of",), found="'experts'", expected=f"a part that {model.name} has")
    if rule.of == ("layer_embedding",) and model.per_layer is None:
        raise ConfigError(path=("of",), found="'layer_embedding'", expected=f"a part that {model.name} has")
    return [(part, layer) for part in rule.of for layer in (layers if part in LAYERED else [0])]


def _numbers(layers: str, number: int, name: str) -> Iterator[int]:
    for first, last in runs(layers):
        end = number - 1 if last is None else last
        if not first <= end < number:
            expected = f"layers of the {number} of {name}, 0 to {number - 1}"
            raise ConfigError(path=("layers",), found=f"'{layers}'", expected=expected)
        yield from range(first, end + 1)


def _whole_layers(rule: Rule, number: int, places: Sequence[Place], sizes: Mapping[Place, float]) -> list[Place]:
    """The first layers that a rule matches, as many as its amount has room for: an engine computes whole ones.

    Raises:
        ConfigError: an amount of parts that are of no layer.
    """
    if any(part not in LAYERED for part in rule.of):
        expected = "none of embedding, head and activations, which are computed whole"
        raise ConfigError(path=("placement", number, "amount"), found=f"'{rule.amount}'", expected=expected)
    total, kept = sum(sizes.get(place, 0.0) for place in places), list[Place]()
    room = (share_of(rule, places, sizes) + 1e-9) * total
    for layer in dict.fromkeys(layer for _, layer in places):
        own = [place for place in places if place[1] == layer]
        room -= sum(sizes.get(place, 0.0) for place in own)
        if room < 0:
            break
        kept += own
    return kept


def share_of(rule: Rule, places: Sequence[Place], sizes: Mapping[Place, float]) -> float:
    """The share that a rule takes of all that it matches."""
    if rule.amount is None:
        return 1.0
    number, unit = amount_of(rule.amount)
    if unit == "1":
        return number
    total = sum(sizes.get(place, 0.0) for place in dict.fromkeys(places))
    return min(number / total, 1.0) if total else 1.0
