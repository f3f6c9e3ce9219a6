"""Which machine, model or runtime a name in measured data means."""

from __future__ import annotations

from pathlib import Path

from simulator import data
from simulator.config import load
from simulator.errors import ConfigError
from simulator.files import remembered
from simulator.mapping.form import RUNTIMES


def meant(name: str, folder: str) -> str | None:
    """The machine (`hwconfigs`) or model (`workloads/models`) of a name or alias; None if no file of ours has it.

    Case, spaces and punctuation do not count; nor what stands before the last slash of a name on Hugging Face.
    """
    return known(folder).get(folded(name.rpartition("/")[2])) if isinstance(name, str) else None


def program(engine: str) -> str | None:
    """The runtime of a program by its name, with or without a version behind it; None if no file of ours has it."""
    name = folded(engine) if isinstance(engine, str) else ""
    names = [each for each in known(RUNTIMES) if name.startswith(each)]
    return known(RUNTIMES)[max(names, key=len)] if names else None


def named(engine: str) -> str:
    """A program by its runtime, or by its own name, folded, where no file of ours has it."""
    return program(engine) or folded(engine)


@remembered(8)
def known(folder: str) -> dict[str, str]:
    """The names of the YAML files of a folder by all their names and aliases, folded; an alias before a name.

    Raises:
        ConfigError: two files have the same alias.
    """
    names: dict[str, str] = {}
    for name in data.names(folder):
        for alias in aliases(name, folder):
            if names.setdefault(folded(alias), name) != name:
                other = f"{names[folded(alias)]}.yaml has it too"
                raise ConfigError(other, file=data.find(name, folder), path="aliases", found=f"'{alias}'")
    return {folded(name): name for name in data.names(folder)} | names


def aliases(name: str | Path, folder: str) -> list[str]:
    """The aliases that stand in a file itself: those of what it extends are of that."""
    config = load(name, folder)
    own = config.data.get("aliases", [])
    return [alias for place, alias in enumerate(own) if config.marks["aliases", place].file == config.file]


def folded(name: str) -> str:
    """A name without case, spaces and punctuation."""
    return "".join(filter(str.isalnum, name.casefold()))
