"""What a name or a file is: a machine, a model, an experiment, a trace, or published values."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from simulator import data
from simulator.errors import ConfigError, described, nearest

Kind: TypeAlias = Literal["machine", "model", "experiment", "trace", "published values"]

FOLDERS: dict[Kind, str] = {"machine": "hwconfigs", "model": "workloads/models", "experiment": "experiments"}
"""Where those that have names lie."""

_ANYWHERE = {"schema", "extends", "name", "description", "source", "role", "note"}


def kind_of(name: str) -> Kind:
    """What a file is, by its suffix and its keys, or what a name of ours names.

    Raises:
        ConfigError: no such file or name, or a file that is none of these.
    """
    path = Path(name)
    if (path / "config.json").is_file():
        return "model"
    if path.is_file():
        return _kind_of_file(path)
    named = _named(name)
    if named is None:
        expected = "a file, or the name of a machine, a model or an experiment (tiersim list)"
        raise ConfigError(
            "no such file or name", found=f"'{name}'", expected=expected, nearest=nearest(path.stem, _names())
        )
    return named


def _kind_of_file(file: Path) -> Kind:
    if file.suffix == ".csv":
        return "published values" if file.name == "published.csv" else "trace"
    if file.suffix == ".json":
        return "model"
    return "experiment" if file.name == data.EXPERIMENT else _kind_of_yaml(file)


def _kind_of_yaml(file: Path, above: tuple[Path, ...] = ()) -> Kind:
    """The kind that has the most of a file's keys; that of what it extends where it has none of its own."""
    from simulator.baselines.experiment import Experiment
    from simulator.config.read import read
    from simulator.hardware import Machine
    from simulator.workload import Model

    forms: dict[Kind, set[str]] = {
        "machine": set(Machine.model_fields),
        "model": set(Model.model_fields),
        "experiment": set(Experiment.model_fields),
    }
    tree = read(file).value
    mapping = tree if isinstance(tree, dict) else {}
    fitting = {kind: len((forms[kind] - _ANYWHERE) & mapping.keys()) for kind in forms}
    kind = max(fitting, key=lambda kind: fitting[kind])
    if fitting[kind]:
        return kind
    if "extends" in mapping:
        return _kind_of_base(str(mapping["extends"].value), (*above, file))
    found = ", ".join(mapping) or described(tree)
    expected = "a machine (devices, ...), a model (layers, attention, ...) or an experiment (kind, title, ...)"
    raise ConfigError("this is nothing that tiersim knows", file=file, found=found, expected=expected)


def _kind_of_base(base: str, files: tuple[Path, ...]) -> Kind:
    """The kind of what a file extends; where that cannot be found, of what was meant: its loader says the rest."""
    beside = next(
        (file for file in (files[-1].parent / base, files[-1].parent / f"{base}.yaml") if file.is_file()), None
    )
    if beside and beside not in files:
        return _kind_of_yaml(beside, files)
    return _named(base) or _named(nearest(base, _names()) or "") or "machine"


def _names() -> list[str]:
    return [name for folder in FOLDERS.values() for name in data.names(folder)]


def _named(name: str) -> Kind | None:
    return next((kind for kind, folder in FOLDERS.items() if name in data.names(folder)), None)
