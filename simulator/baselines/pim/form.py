"""The form of a `pim` experiment's YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.baselines.experiment import Experiment
from simulator.config.section import Section
from simulator.errors import ConfigError, nearest, one_of
from simulator.units import Count, EnergyPerFlop, Positive, parse
from simulator.workload.dtypes import Dtype


class PimUnit(Section):
    """Units in the memory: an engine with `pim`, of the first device of a machine."""

    hardware: str
    engine: str = "pim"


class Gemm(Section):
    """`rows` x k times k x n: each row of its weights is used by so many rows of inputs."""

    k: Count
    n: Count
    rows: Annotated[list[Count], Field(min_length=1)]
    dtype: Dtype = "fp16"


class InDram(Section):
    """What units on the dies of the DRAM pay for its process: fitted, one number each for all kinds of them.

    `area` is over that of the units on the logic die; `energy_per_flop` takes the place of that of the machines.
    """

    energy_per_flop: EnergyPerFlop
    area: Positive


class PimExperiment(Experiment):
    """The YAML of a `pim` experiment.

    `set` holds overrides as `--set` takes them: those of `in_dram.*`, and of each of its machines.
    """

    kind: Literal["pim"]
    units: Annotated[dict[str, PimUnit], Field(min_length=1)]
    gemm: Gemm
    in_dram: InDram
    set: tuple[str, ...] = ()

    def only(self, conditions: Sequence[Mapping[str, Any]]) -> PimExperiment:
        """The same experiment with no more than the rows that the conditions name; all units, which are compared."""
        named = {condition.get("op_per_byte") for condition in conditions}
        rows = [rows for rows in self.gemm.rows if rows in named]
        return self.model_copy(update={"gemm": self.gemm.model_copy(update={"rows": rows})}) if rows else self

    def settings(self) -> tuple[InDram, list[str]]:
        """What units in DRAM pay, with the overrides of it; and the overrides of the machines.

        Raises:
            ConfigError: an override of `in_dram` that there is not, or to what cannot be.
        """
        changed = {}
        for path, _, value in (text.partition("=") for text in self.set if text.startswith(_OWN)):
            key = path.strip().removeprefix(_OWN)
            if key not in _UNITS:
                close = nearest(key, _UNITS)
                raise ConfigError("no such figure", path=path, found=f"'{key}'", expected=one_of(_UNITS), nearest=close)
            changed[key] = parse(value.strip(), _UNITS[key])
            if changed[key] <= 0:
                raise ConfigError(path=path, found=value.strip(), expected="more than 0")
        return self.in_dram.model_copy(update=changed), [text for text in self.set if not text.startswith(_OWN)]


_OWN = "in_dram."
_UNITS = {"energy_per_flop": "J/FLOP", "area": "1"}
