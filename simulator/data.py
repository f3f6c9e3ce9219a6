"""Where the YAML and data folders are: in the checkout beside `pyproject.toml`, else in the installed package."""

from __future__ import annotations

from functools import cache
from os.path import isfile
from pathlib import Path

from simulator.errors import one_of, unknown

EXPERIMENT = "experiment.yaml"
"""The file that makes a folder below `experiments` an experiment."""


def folder(name: str) -> Path:
    """The folder of that name, such as ``hwconfigs`` or ``workloads/models``."""
    return _root() / name


def names(folder: str) -> list[str]:
    """What lies in a folder, as people type it: ``sn40l`` for ``sn40l.yaml`` and for ``sn40l/experiment.yaml``."""
    place = _root() / folder
    files = [file.stem for file in place.glob("*.yaml")]
    return sorted([*files, *(file.parent.name for file in place.glob(f"*/{EXPERIMENT}"))])


def find(name: str | Path, folder: str) -> Path:
    """The file meant by `name`: a path to a file, or to the folder of an experiment, else it names one of ours.

    Raises `ConfigError` for neither, with the nearest of the names that there are.
    """
    place = _root() / folder
    own = [Path(name) / EXPERIMENT] if folder == "experiments" else []
    for file in (Path(name), *own, place / f"{name}.yaml", place / str(name) / EXPERIMENT):
        if isfile(file):  # which, unlike Path's, takes any text for an answer
            return file
    known, short = names(folder), stem(name)
    expected = f"a file, or {one_of(known, short)}" if known else "a file"
    raise unknown(short, known, f"nothing in {folder} has this name", found=f"'{name}'", expected=expected)


def stem(name: str | Path) -> str:
    """The name of a file less its folder and what says that it is YAML: a version as in `llama-3.1-8b` is kept."""
    return Path(name).name.removesuffix(".yaml")


@cache
def _root() -> Path:
    package = Path(__file__).parent
    project = package.parent / "pyproject.toml"
    if project.is_file() and 'name = "tiersim"' in project.read_text(encoding="utf-8"):
        return package.parent
    return package / "_data"
