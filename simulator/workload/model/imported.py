"""A model checked against the modules that transformers builds of its config; needs `pip install 'tiersim[import]'`.

A type that `model/huggingface/` reads is read so, and any other is walked, module by module: in both cases its
parameters must be as many.

The modules are built on torch's meta device: no weight is made or loaded, nothing is downloaded, and code that comes
with a config is not run. Each parameter of each layer must have a role here; one that has none is told by its module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from simulator.config import Config, Mark, validate
from simulator.errors import ConfigError
from simulator.workload.model.form import Model
from simulator.workload.model.huggingface.layers import LAYER_TYPES, shortest
from simulator.workload.model.huggingface.reader import from_huggingface, known_type
from simulator.workload.model.parameters import parameters
from simulator.workload.model.roles import roles_of

Data = dict[str, Any]


def import_model(config: Mapping[str, Any], name: str) -> Model:
    """The model that transformers builds of a Hugging Face `config`, with as many parameters as its modules have.

    Raises:
        ConfigError: torch or transformers is not installed; a type that it does not build without code of its own; a
            module that a `Model` cannot express, by its path and class.
    """
    built = _built(config)
    count = sum(each.numel() for key, each in built.named_parameters() if _of_text(key))
    if known_type(config):
        with suppress(ConfigError):
            model = from_huggingface(built.config.to_dict(), name)
            if parameters(model).total == count:
                return model
    model = _walked(built, config, name)
    if parameters(model).total != count:
        found = f"{parameters(model).total:,} parameters, and {count:,} in its modules"
        raise ConfigError(f"{name}: a shape that a model YAML cannot express", found=found, expected="as many")
    return model


def model_yaml(model: Model) -> str:
    """The YAML of a model, which reads as the same."""
    left_out = {"name", "family", "source", "not_modelled"}
    shape = model.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
    fields = {"schema": 1, "name": model.name, "family": model.family, "source": model.source, "role": "input", **shape}
    lines = [f"# Written by tiersim import-model. Not modelled: {', '.join(model.not_modelled) or 'nothing'}."]
    return "\n".join([*lines, yaml.safe_dump(fields, sort_keys=False, width=120, default_flow_style=None)])


def _walked(built: Any, config: Mapping[str, Any], name: str) -> Model:
    """The model of modules whose type no reader knows."""
    try:
        return _from_modules(built, config, name)
    except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError):
        found = f"the layers of a {type(built).__name__}"
        raise ConfigError("modules that a model YAML cannot express", path="model_type", found=found) from None


def _from_modules(built: Any, config: Mapping[str, Any], name: str) -> Model:
    """The model of modules, each parameter by its role."""
    layers_at, layers = _decoder(built)
    known = built.config.get_text_config() if hasattr(built.config, "get_text_config") else built.config
    hidden = built.get_input_embeddings().weight.shape[1]
    read = [_layer(layer, f"{layers_at}.{number}", known, hidden, number) for number, layer in enumerate(layers)]
    outside, inside = _outside(built, layers_at, known), _laid_out(read)
    data = outside | inside | {"name": name, "layers": len(layers), "norm": outside["norm"] | inside["norm"]}
    data |= {"family": str(config.get("model_type", known.model_type)).removesuffix("_text")}
    file = Path("config.json")
    return validate(Config(file, data, {(): Mark(file)}, {}), Model)


def _built(config: Mapping[str, Any]) -> Any:
    """The modules of a causal language model, without weights."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"  # read when transformers is imported
    torch, transformers = _extra("torch"), _extra("transformers")
    left_out = ("auto_map", "quantization_config", "transformers_version", "architectures", "dtype", "torch_dtype")
    settings = {key: value for key, value in config.items() if key not in left_out}
    if "model_type" not in settings:
        raise ConfigError(path="model_type", expected="a type that transformers knows")
    try:
        described = transformers.AutoConfig.for_model(**settings)
        with torch.device("meta"):
            try:
                return transformers.AutoModelForCausalLM.from_config(described)
            except ValueError:
                return transformers.AutoModelForImageTextToText.from_config(described)
    except Exception as error:  # whatever a config makes a model's own code raise
        first = str(error).strip().splitlines()[:1]
        message = (
            f"transformers {transformers.__version__} cannot build it: {first[0] if first else type(error).__name__}"
        )
        raise ConfigError(message, path="model_type", found=f"'{settings['model_type']}'") from None


def _extra(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ConfigError(f"import-model needs {name}", expected="pip install 'tiersim[import]'") from None


_APART = re.compile(r"vision|visual|audio|mm_projector|multi_modal|image|speech|talker|code2wav")


def _of_text(key: str) -> bool:
    return not _APART.search(key)


def _decoder(built: Any) -> tuple[str, Any]:
    """The list of decoder layers, with its path: the list of modules with the most parameters, outside all others."""
    lists = [
        (path, module)
        for path, module in built.named_modules()
        if type(module).__name__ == "ModuleList" and _of_text(path) and not re.search(r"\.\d+\.", f"{path}.")
    ]
    sizes = [sum(each.numel() for each in module.parameters()) for _, module in lists]
    if not lists:
        raise ConfigError("no list of layers", found=f"a {type(built).__name__}", expected="a decoder of layers")
    return lists[sizes.index(max(sizes))]


def _layer(layer: Any, at: str, config: Any, hidden: int, number: int) -> Data:
    """The parts of one layer: `mixer` and `ffn`, each a kind and its section, and its norms."""
    shapes = {key: tuple(each.shape) for key, each in layer.named_parameters()}
    classes = {path: type(module).__name__ for path, module in layer.named_modules()}
    of_roles, left = roles_of(shapes, classes, config, hidden)
    if left:
        path = left[0].rpartition(".")[0]
        whose = classes.get(path, type(layer).__name__)
        where = f"{at}.{left[0]}"
        raise ConfigError("a module that a model YAML cannot express", found=f"{where} of a {whose}")
    return of_roles | {"window": _window(config, number)}


def _window(config: Any, number: int) -> tuple[str, int] | None:
    """The window or chunk of a layer, as its config says."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds:
        kind = LAYER_TYPES.get(kinds[number], "")
        chunk = getattr(config, "attention_chunk_size", None)
        width = {"window": window, "chunk": chunk}.get(kind)
        return (kind, width) if isinstance(width, int) and width else None
    return ("window", window) if isinstance(window, int) and getattr(config, "use_sliding_window", True) else None


def _outside(built: Any, layers_at: str, config: Any) -> Data:
    """What stands around the layers: tables, the head, the last norm."""
    table, head = built.get_input_embeddings(), built.get_output_embeddings()
    vocab, hidden = table.weight.shape
    tied = head is None or head.weight is table.weight
    learned, norms, biased = 0, 0, False
    seen = {id(table.weight)} | ({id(head.weight)} if head is not None else set())
    for path, module in built.named_modules():
        own = list(module.named_parameters(recurse=False))
        if not own or not _of_text(path) or path.startswith(f"{layers_at}."):
            continue
        kind, shapes = type(module).__name__, [tuple(each.shape) for _, each in own]
        if id(own[0][1]) in seen:
            continue
        if "Norm" in kind and shapes[0] == (hidden,):
            norms, biased = norms + 1, biased or len(own) > 1
        elif "Embedding" in kind and len(shapes) == 1 and shapes[0][1:] == (hidden,) and not learned:
            learned = shapes[0][0]
        else:
            raise ConfigError("a module that a model YAML cannot express", found=f"{path}.{own[0][0]} of a {kind}")
    if norms not in (1, 2):
        found = f"{norms} norms with weights around the layers of a {type(built).__name__}"
        raise ConfigError("norms that a model YAML cannot express", found=found, expected="one before the head")
    return {
        "hidden": hidden, "vocab": vocab, "tied_embeddings": tied,
        "lm_head_bias": head is not None and getattr(head, "bias", None) is not None,
        "max_context": int(getattr(config, "max_position_embeddings", 0) or 2048),
        "positions": _positions(config, learned), "norm": {"embedding": norms == 2, "bias": biased},
    }  # fmt: skip


def _positions(config: Any, learned: int) -> Data:
    if learned:
        return {"kind": "learned", "count": learned}
    if getattr(config, "alibi", False):
        return {"kind": "alibi"}
    turned = getattr(config, "rope_parameters", None) or getattr(config, "rope_theta", None)
    return {"kind": "rope" if turned else "none"}


def _laid_out(read: list[Data]) -> Data:
    """Sections of parts and a pattern of their names, from what each layer is made of."""
    norms = {(each["norms"], each["norm_kind"], each["norm_bias"]) for each in read}
    if len(norms) > 1:
        raise ConfigError("layers with different norms", found=", ".join(map(str, sorted(norms))), expected="one kind")
    ((per_part, kind, biased),) = norms
    sections: dict[str, dict[str, Data]] = {}
    layers = []
    for each in read:
        names = []
        for section, part in each["parts"]:
            if section == "attention" and each["window"]:
                part = part | {each["window"][0]: each["window"][1]}
            known = sections.setdefault(section, {})
            name = next((key for key, value in known.items() if value == part), None)
            if name is None:
                name = section if not known else f"{section}_{len(known)}"
                known[name] = part
            names.append(name)
        layers.append(" ".join(names))
    parallel = per_part == 0.5
    data: Data = {"parallel": parallel, "norm": {"kind": kind, "bias": biased, "per_layer": int(2 * per_part)}}
    for section, known in sections.items():
        first, *others = known.items()
        data[section] = first[1]
        if others and section not in ("attention", "ffn"):
            raise ConfigError(f"layers with different sections {section}", found=f"{len(known)} shapes", expected="one")
        if others:
            data[f"{section}s"] = dict(others)
    plain = set(layers) <= {"attention ffn", "attention moe"} and len(set(layers)) == 1
    return data if plain else data | {"pattern": shortest(layers)}
