"""Times of a prompt that were measured, for what they were measured on alone."""

from __future__ import annotations

from typing import Any

from simulator.config.section import Section
from simulator.errors import ConfigError, described
from simulator.scenario.form import Scenario
from simulator.units import Seconds

WAY_OUT = "or no calibration, which takes times from the operators"
FREE = {"residency"}
"""What a mapping may say beside measured times."""


class Calibration(Section):
    """Seconds of a prompt, measured with one model on some machines."""

    model: str
    """The model, by its name."""
    expert_time: dict[str, dict[int, Seconds]]
    """By the name of the machine, and then by the tokens of the answer."""

    def seconds(self, scenario: Scenario, tokens: int) -> float:
        """The time of a prompt with an answer of these tokens.

        Raises:
            ConfigError: another model or machine, or the same with other figures; a mapping; tokens of which none is.
        """
        name, figures = _named(scenario.model)
        if name != self.model or figures:
            expected = f"'{self.model}', with which times were measured, {WAY_OUT}"
            raise ConfigError(path="model", found=f"'{figures[0] if name == self.model else name}'", expected=expected)
        name, figures = _named(scenario.hardware)
        changed = next((each for each in figures if each.partition(".")[0] == "devices"), None)
        if changed:
            expected = f"the machine on which times were measured, {WAY_OUT}"
            raise ConfigError(path=("hardware", *changed.split(".")), found=f"'{changed}'", expected=expected)
        mapped = sorted(scenario.mapping.model_dump(exclude_defaults=True).keys() - FREE)
        if scenario.sized is not None:
            expected = f"a machine of its own size beside measured times, {WAY_OUT}"
            raise ConfigError(path="sized", found="another", expected=expected)
        if mapped:
            expected = f"none beside measured times, {WAY_OUT}"
            raise ConfigError(path=("mapping", mapped[0]), found="a value", expected=expected)
        at = ("workload", "calibration", "expert_time", str(name), str(tokens))
        times = self.expert_time.get(str(name), {})
        if tokens not in times:
            raise ConfigError(path=at, found="nothing", expected=f"a time, {WAY_OUT}")
        return times[tokens]


def _named(part: Any) -> tuple[str, list[str]]:
    """The name of a machine or model, and the figures that are others than those of the file of that name."""
    if isinstance(part, dict):
        name, figures = _named(part.get("extends"))
        return name, [*figures, *(key for key in part if key != "extends")]
    return part if isinstance(part, str) else described(part), []
