from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from simulator.config.path import figure, get, put, replaced
from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.units import MOST, Bandwidth, Bytes, Count, Fraction


class Curve(Section):
    sizes: list[Bytes]


class Tier(Section):
    capacity: Bytes
    bandwidth: Bandwidth = 1e12
    efficiency: Fraction | Curve = 1.0
    kind: Literal["hbm", "ddr"] = "hbm"


class Cache(Section):
    tier: str
    ways: Count = 1


class Node(Section):
    tiers: dict[str, Tier] = Field(default_factory=dict)
    peak: dict[str, Bandwidth] = Field(default_factory=dict)
    most: Bytes = 1e30
    cache: Cache | None = None

    @cached_property
    def capacity(self) -> float:
        return sum(tier.capacity for tier in self.tiers.values())

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(tier.capacity > self.most for tier in self.tiers.values()):
            raise ValueError("a tier larger than the most")
        return self


NODE = Node.model_validate(
    {
        "tiers": {
            "hbm": {"capacity": "64 GiB", "efficiency": {"sizes": [1.0, "4 KiB"]}},
            "host.ddr": {"capacity": "1 TiB"},
            "host": {"capacity": 8},
        },
        "peak": {"bf16": 1e15},
    }
)
FIGURES = ["tiers.hbm.capacity", "tiers.hbm.bandwidth", "tiers.host.ddr.capacity", "tiers.host.capacity", "peak.bf16"]


@given(st.dictionaries(st.sampled_from(FIGURES), st.floats(1e3, MOST)))
def test_what_is_replaced_is_there_to_the_bit_and_nothing_else_changes(values: dict[str, float]) -> None:
    for other in (replaced(NODE, values), put(NODE, values)):
        assert {path: get(other, path) for path in FIGURES} == {path: get(NODE, path) for path in FIGURES} | values
        assert replaced(other, {path: get(NODE, path) for path in values}) == NODE


def test_what_is_computed_from_a_figure_is_computed_anew() -> None:
    assert NODE.capacity > 2**40
    for other in (replaced(NODE, {"tiers": {"hbm": {"capacity": 3}}}), put(NODE, {"tiers": {}})):
        assert other.capacity == sum(tier.capacity for tier in other.tiers.values())


def test_other_sections_are_shared() -> None:
    other = replaced(NODE, {"tiers.hbm.capacity": "1 GB"})
    assert other.tiers["host"] is NODE.tiers["host"]
    assert other.tiers["hbm"].efficiency is NODE.tiers["hbm"].efficiency
    assert NODE.tiers["hbm"].capacity == 64 * 2**30


def test_what_a_file_says_is_what_is_said_to_be_set() -> None:
    """So that what follows from other figures is known from what stands in the file."""
    other = replaced(NODE, {"tiers.hbm.bandwidth": 2e12, "tiers.hbm.efficiency": None})
    assert other.tiers["hbm"].model_fields_set == {"capacity", "bandwidth"}
    assert other.tiers["hbm"].efficiency == 1.0


def test_a_text_with_a_unit_a_section_and_a_list_are_values() -> None:
    other = replaced(
        NODE, {"tiers.host.bandwidth": "2 TB/s", "tiers.hbm.efficiency.sizes": ["1 KiB"], "cache": {"tier": "hbm"}}
    )
    assert other.tiers["host"].bandwidth == 2e12
    assert other.tiers["hbm"].efficiency == Curve(sizes=[1024.0])
    assert other.cache == Cache(tier="hbm")


def test_keys_below_a_section_that_is_not_there_make_it() -> None:
    assert replaced(NODE, {"cache.tier": "hbm", "cache.ways": 8}).cache == Cache(tier="hbm", ways=8)


def test_a_figure_has_the_type_of_its_field() -> None:
    assert figure(NODE, "tiers.host.ddr.bandwidth").unit == "B/s"
    assert figure(NODE, "peak.bf16").unit == "B/s"
    assert figure(NODE, "tiers.hbm.kind").kind is None
    assert figure(NODE, "tiers.hbm.capacity").read("1 GB") == 1e9


WRONG = {
    "tiers.hbm.bandwith": (1e12, "tiers.hbm.bandwith: unknown key: expected one of bandwidth, "),
    "tiers.hbn.bandwidth": (1e12, "tiers.hbn: unknown key: expected one of hbm, host, host.ddr; did you mean 'hbm'?"),
    "tiers.hbm.bandwidth.unit": (1e12, "tiers.hbm.bandwidth.unit: unknown key: expected no further key"),
    "tiers.host.ddr.bandwidth": ("2 TB", "tiers.\"host.ddr\".bandwidth: found '2 TB', expected a bandwidth"),
    "tiers.hbm.kind": ("hbn", "tiers.hbm.kind: found 'hbn', expected one of hbm, ddr; did you mean 'hbm'?"),
    "tiers.hbm.capacity": (None, "tiers.hbm.capacity: missing key: expected a size"),
    "tiers.hbm.efficiency": (2.0, "tiers.hbm.efficiency: found 2.0, expected at most 1"),
    "tiers.hbm": (3, "tiers.hbm: found 3, expected a mapping"),
    "peak.bf16": ([], "peak.bf16: found a list, expected a bandwidth"),
    "cache.ways": (2, "cache.tier: missing key"),
    "most": ("1 GB", "a tier larger than the most"),
}


@pytest.mark.parametrize(("path", "value", "message"), [(path, *wrong) for path, wrong in WRONG.items()])
def test_what_cannot_be_is_told_with_its_key(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replaced(NODE, {path: value})
    assert message in str(caught.value)


def test_a_section_and_a_figure_of_it_are_not_replaced_at_once() -> None:
    with pytest.raises(ConfigError, match="a value for cache too"):
        replaced(NODE, {"cache": {"tier": "hbm"}, "cache.ways": 2})
