"""What a name or a file is: a machine, a model, a scenario, a study, a runtime, a cost table, a trace, ..."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from simulator import data
from simulator.errors import ConfigError, described, nearest, unknown
from simulator.files import read_bytes

Kind: TypeAlias = Literal[
    "machine",
    "part",
    "model",
    "study",
    "cost table",
    "runtime",
    "routing",
    "eager",
    "calibration",
    "scenario",
    "trace",
    "requests",
    "published values",
]

FOLDERS: dict[Kind, str] = {
    "machine": "hwconfigs",
    "part": "hwconfigs/parts",
    "model": "workloads/models",
    "study": "experiments",
    "cost table": "hwconfigs/costs",
    "runtime": "hwconfigs/runtimes",
}
"""Where those that have names lie."""

_ANYWHERE = {"schema", "extends", "name", "description", "source", "role", "note"}


def kind_of(name: str) -> Kind:
    """What a file is, by its name and its keys, or what a name of ours names.

    Raises:
        ConfigError: no such file or name, or a file that is none of these.
    """
    from simulator.workload.model.load import tower_of

    path, _ = tower_of(Path(name))
    if (path / "config.json").is_file():
        return "model"
    if (path / data.EXPERIMENT).is_file():
        return "study"
    if path.is_file():
        return _kind_of_file(path)
    named = _named(name)
    if named is None:
        expected = "a file, or the name of a machine, a model, a study, a runtime or a cost table (tiersim list)"
        raise unknown(data.stem(path), _names(), "no such file or name", found=f"'{name}'", expected=expected)
    return named


def _kind_of_file(file: Path) -> Kind:
    if file.suffix == ".csv":
        return "published values" if file.name == "published.csv" else _kind_of_table(file)
    if file.suffix in (".jsonl", ".parquet"):
        return "requests"
    if file.suffix == ".json":
        return "requests" if _start(file).lstrip().startswith(b"[") else "model"
    return "study" if file.name == data.EXPERIMENT else _kind_of_yaml(file)


def _kind_of_table(file: Path) -> Kind:
    """Prompts and their experts by the names of these columns, else requests."""
    names = {name.strip() for name in _start(file).decode("utf-8-sig", "replace").split(",")}
    return "trace" if names & {"prompt", "expert"} else "requests"


def _start(file: Path) -> bytes:
    """The first line of a file that is not empty."""
    return next((line for _, line in read_bytes(file) if line.strip()), b"")


def _kind_of_yaml(file: Path, above: tuple[Path, ...] = ()) -> Kind:
    """The kind that has the most of a file's keys; that of what it extends where several have, or none has any."""
    from simulator.config.read import read

    tree = read(file).value
    mapping = tree if isinstance(tree, dict) else {}
    fitting = {kind: len((keys - _ANYWHERE) & mapping.keys()) for kind, keys in _keys().items()}
    most = max(fitting.values())
    kinds = [kind for kind, count in fitting.items() if count == most]
    if most and (len(kinds) == 1 or "extends" not in mapping):
        return kinds[0]
    if "extends" in mapping:
        return _kind_of_base(str(mapping["extends"].value), (*above, file))
    found = ", ".join(mapping) or described(tree)
    expected = (
        "a machine (devices, ...), a model (layers, attention, ...), a scenario (hardware, model, ...), "
        "a study (base, axes, ...), a runtime (by_device, overlaps, ...), a cost table (wafer, processes, ...) "
        "or requests (arrivals, lengths, ...)"
    )
    raise ConfigError("this is nothing that tiersim knows", file=file, found=found, expected=expected)


def _keys() -> dict[Kind, set[str]]:
    """The keys of each kind of YAML."""
    from simulator.hardware import Machine
    from simulator.hardware.cost_form import CostTable
    from simulator.hardware.part import Part
    from simulator.mapping.gpu.calibration import Calibration
    from simulator.mapping.runtime.form import Runtime
    from simulator.scenario.form import Scenario
    from simulator.study.form import StudyForm
    from simulator.study.renamed import TOP
    from simulator.workload import Model
    from simulator.workload.eager import Family
    from simulator.workload.requests.form import RequestsForm
    from simulator.workload.routing.measured import MeasuredRouting

    return {
        "machine": set(Machine.model_fields),
        "part": set(Part.model_fields),
        "model": set(Model.model_fields),
        "study": set(StudyForm.model_fields) | set(TOP),
        "cost table": set(CostTable.model_fields),
        "runtime": set(Runtime.model_fields),
        "routing": set(MeasuredRouting.model_fields),
        "eager": set(Family.model_fields),
        "calibration": set(Calibration.model_fields),
        "scenario": set(Scenario.model_fields),
        "requests": set(RequestsForm.model_fields),
    }


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
