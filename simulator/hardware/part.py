"""The form of a part that machines share: a memory, a link, an engine or a device, as far as they have it in common."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from simulator.config import Config, load
from simulator.config.check import problems, raised
from simulator.config.resolve import parts_of
from simulator.config.section import Section
from simulator.hardware.machine import Device, Engine, Link, Machine, Tier
from simulator.hardware.stack import Stack

FOLDER = parts_of("hwconfigs")


class Part(Section):
    """A part that machines include with `part: NAME`, at a tier, a link, an engine or a device; what they say holds.

    It has one of these, and leaves out what differs.
    """

    description: str = ""
    """One line for people, which lists show."""
    tier: Tier | None = None
    """A memory, such as a stack of HBM3 or a drive."""
    stack: Stack | None = None
    """One stack of DRAM with its timing."""
    link: Link | None = None
    """A link, such as 16 lanes of PCIe 5.0."""
    engine: Engine | None = None
    """An engine, such as one made of units of a kind."""
    device: Device | None = None
    """A device, such as a die that several boards carry."""
    machine: Machine | None = None
    """What several machines have at their top."""


def load_part(name: str | Path) -> Config:
    """Read a part by its name in `hwconfigs/parts/` or by its path; what it leaves out is the machines' to say.

    Raises:
        ConfigError: what is wrong with the file, with its line and key path.
    """
    config = load(name, FOLDER)
    try:
        Part.model_validate(config.data)
    except ValidationError as error:
        wrong = [each for each in problems(config.data, Part, error) if each.message != "missing key"]
        for each in wrong:
            mark = config.mark(tuple(each.path or ()))
            each.file, each.line = mark.file, mark.line
        if wrong:
            raise raised(wrong) from None
    return config
