"""Finds a model by name or path, in our YAML or as a Hugging Face `config.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulator.config import load, validate
from simulator.config.plausible import check_sizes
from simulator.config.resolve import Override
from simulator.errors import ConfigError
from simulator.workload.model.form import Model
from simulator.workload.model.huggingface.reader import read_huggingface
from simulator.workload.model.huggingface.towers import read_tower
from simulator.workload.model.unread import check_read

FOLDER = "workloads/models"
TOWER = "#vision"
"""What names the tower of images of a `config.json`, behind its path."""


def load_model(source: str | Path | Mapping[str, Any], overrides: Sequence[Override] = ()) -> Model:
    """The model of a shipped name, of a YAML, of a Hugging Face `config.json`, or of a folder that holds one.

    A mapping is an inline model: figures by their dotted paths, over one that it `extends`.

    `overrides` (``path.to.key=value``) name keys as the file has them: ``layers=16`` in a YAML of ours,
    ``num_hidden_layers=16`` in a `config.json`.

    `#vision` behind a `config.json` is its tower of images.

    Warns of figures of a size that no model has (`config/plausible.py`), and of those in a YAML on which nothing
    depends (`unread.py`).

    Raises:
        ConfigError: with file, line and key path: no such model, or what is wrong in its file.
    """
    if isinstance(source, Mapping):
        overrides = [*((key, value) for key, value in source.items() if key != "extends"), *overrides]
        source = str(source.get("extends", ""))
    path = Path(source)
    path, tower = tower_of(path)
    if source and (path / "config.json").is_file():
        path = path / "config.json"
    if tower and path.suffix != ".json":
        raise ConfigError("a tower of images", found=f"'{source}'", expected="that of a Hugging Face config.json")
    if path.suffix != ".json":
        config = load(source or {}, FOLDER, overrides)
        model, origin = validate(config, Model), config.source()
        check_sizes("model", model, config)
        check_read(model, config)
        return _first(model.model_copy(update={"source": origin.text if origin else str(config.file)}))
    name = path.resolve().parent.name if path.name == "config.json" else path.stem.removesuffix("_config")
    config = load(path, FOLDER, overrides)
    if tower:
        return read_tower(config, f"{name}{TOWER}").model_copy(update={"source": f"{path}{TOWER}"})
    beside = path.with_name(f"{path.stem.removesuffix('config')}hf_quant_config.json")
    model = read_huggingface(config, name, load(beside, FOLDER) if beside.is_file() else None)
    check_sizes("model", model, config)
    return _first(model.model_copy(update={"source": str(path)}))


def tower_of(path: Path) -> tuple[Path, bool]:
    """The file that a path names, and whether its tower of images is meant.

    Raises:
        ConfigError: another part of a file.
    """
    if "#" not in path.name or path.exists():
        return path, False
    name, _, part = path.name.rpartition("#")
    if f"#{part}" != TOWER:
        raise ConfigError("a part of a model", found=f"'#{part}'", expected=f"{TOWER}, or the whole", nearest=TOWER)
    return path.with_name(name), True


@lru_cache(maxsize=64)
def _first(model: Model) -> Model:
    """The first of equal models: what is kept by a model is looked up without comparing all of it."""
    return model
