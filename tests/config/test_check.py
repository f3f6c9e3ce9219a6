from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from simulator.config import load, validate
from simulator.errors import ConfigError
from simulator.units import Bandwidth, Bytes, Fraction, Rate, Seconds


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(Strict):
    capacity: Bytes
    bandwidth: Bandwidth
    latency: Seconds = 0.0


class Curve(Strict):
    points: list[tuple[Bytes, Fraction]]


class Gpu(Strict):
    kind: Literal["gpu"]
    peak: dict[str, Rate]
    efficiency: Fraction | Curve = 1.0


class Pim(Strict):
    kind: Literal["pim"]
    peak: Rate
    ports: list[str] = []


class Machine(Strict):
    tiers: dict[str, Tier]
    engines: dict[str, Annotated[Gpu | Pim, Field(discriminator="kind")]] = {}
    count: int = Field(1, ge=1, le=64)
    mode: Literal["fast", "slow"] = "fast"
    links: list[Tier] | None = None
    parts: Annotated[list[int], Field(min_length=1)] = [1]

    @field_validator("count")
    @classmethod
    def even(cls, count: int) -> int:
        if count == 13:
            raise ValueError("thirteen sockets do not fit a rack")
        return count


GOOD = """\
tiers:
  hbm:
    capacity: 64 GiB
    bandwidth: 1.8 TB/s
engines:
  gpu:
    kind: gpu
    peak:
      bf16: 638 TFLOP/s
  bank:
    kind: pim
    peak: 10 TOP/s
links:
  - capacity: 1 GB
    bandwidth: 1 GB/s
"""


def refused(write, text: str) -> str:
    """The message for `text`, less the folder that the file lies in."""
    folder = f"{write('a', text).parent}/"
    with pytest.raises(ConfigError) as caught:
        validate(load("a", "hw"), Machine)
    return str(caught.value).replace(folder, "")


def test_good_data_become_the_model(write) -> None:
    write("a", GOOD)
    machine = validate(load("a", "hw"), Machine)
    assert machine.tiers["hbm"] == Tier(capacity=64 * 2**30, bandwidth=1.8e12)
    assert machine.engines["bank"] == Pim(kind="pim", peak=10e12)
    assert machine.links is not None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "    bandwidth: 1.8",
            "    bandwith: 1.8",
            "a.yaml:2: tiers.hbm.bandwidth: missing key: expected a bandwidth such as '1.8 TB/s'\n"
            "a.yaml:4: tiers.hbm.bandwith: unknown key: expected one of capacity, bandwidth, latency;"
            " did you mean 'bandwidth'?",
        ),
        (
            "1.8 TB/s",
            "200 GHz",
            "a.yaml:4: tiers.hbm.bandwidth: found '200 GHz', expected a bandwidth such as '1.8 TB/s'",
        ),
        (
            "638 TFLOP/s",
            "638 TFLOPS",
            "a.yaml:9: engines.gpu.peak.bf16: found '638 TFLOPS', expected a compute rate such as '638 TFLOP/s';"
            " did you mean '638 TFLOP/s'?",
        ),
        ("64 GiB", "-5 GB", "a.yaml:3: tiers.hbm.capacity: found '-5 GB', expected more than 0"),
        ("64 GiB", ".nan", "a.yaml:3: tiers.hbm.capacity: found nan, expected a size such as '520 MiB'"),
        ("64 GiB", "[64 GiB]", "a.yaml:3: tiers.hbm.capacity: found a list, expected a size such as '520 MiB'"),
        (
            "kind: pim",
            "kind: pin",
            "a.yaml:11: engines.bank.kind: found 'pin', expected one of gpu, pim; did you mean 'pim'?",
        ),
        ("    kind: pim\n", "", "a.yaml:10: engines.bank.kind: missing key: expected one of gpu, pim"),
        (
            "peak: 10 TOP/s",
            "peek: 10 TOP/s",
            "a.yaml:10: engines.bank.peak: missing key: expected a compute rate such as '638 TFLOP/s'\n"
            "a.yaml:12: engines.bank.peek: unknown key: expected one of kind, peak, ports; did you mean 'peak'?",
        ),
        ("peak: 10 TOP/s", "peak: 1 TOP/s\n    ports: [1]", "a.yaml:13: engines.bank.ports.0: found 1, expected text"),
        (
            "    bandwidth: 1 GB/s",
            "    bandwidth: 1 GB",
            "a.yaml:15: links.0.bandwidth: found '1 GB', expected a bandwidth",
        ),
        ("links:", "links: 3\nx:", "a.yaml:13: links: found 3, expected a list"),
        ("links:", "count: 2.5\nlinks:", "a.yaml:13: count: found 2.5, expected a whole number"),
        ("links:", "count: many\nlinks:", "a.yaml:13: count: found 'many', expected a whole number"),
        ("links:", "count: 65\nlinks:", "a.yaml:13: count: found 65, expected at most 64"),
        ("links:", "count: 13\nlinks:", "a.yaml:13: count: thirteen sockets do not fit a rack"),
        (
            "links:",
            "mode: fats\nlinks:",
            "a.yaml:13: mode: found 'fats', expected one of fast, slow; did you mean 'fast'?",
        ),
        ("  hbm:", "  ddr: 3\n  hbm:", "a.yaml:2: tiers.ddr: found 3, expected a mapping"),
    ],
)
def test_a_mistake_is_told_with_its_place_what_was_found_and_what_was_expected(
    write, old: str, new: str, says: str
) -> None:
    assert old in GOOD
    assert refused(write, GOOD.replace(old, new)).startswith(says)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("1.2", "engines.gpu.efficiency: found 1.2, expected at most 1"),
        ("high", "engines.gpu.efficiency: found 'high', expected a plain number"),
        ("{points: [[1 kB, 2]]}", "engines.gpu.efficiency.points.0.1: found 2, expected at most 1"),
        ("{pionts: []}", "did you mean 'points'?"),
        ("[1]", "engines.gpu.efficiency: found a list, expected a plain number"),
    ],
)
def test_of_a_union_only_the_member_that_was_meant_complains(write, value: str, says: str) -> None:
    message = refused(write, GOOD.replace("kind: gpu", f"kind: gpu\n    efficiency: {value}"))
    assert says in message
    assert "Curve" not in message and "function" not in message


def test_a_list_of_wrong_items_is_not_told_to_be_empty_too(write) -> None:
    assert refused(write, f"{GOOD}parts: [many]\n") == "a.yaml:16: parts.0: found 'many', expected a whole number"
    assert refused(write, f"{GOOD}parts: []\n") == "a.yaml:16: parts: found none, expected 1 or more"


def test_a_tag_that_is_also_a_key_leads_nowhere_else(write) -> None:
    text = GOOD.replace("kind: gpu", "kind: gpu\n    gpu: 3").replace("bf16: 638 TFLOP/s", "bf16: x")
    message = refused(write, text)
    assert "a.yaml:10: engines.gpu.peak.bf16: found 'x'" in message
    assert "a.yaml:8: engines.gpu.gpu: unknown key: expected one of kind, peak, efficiency" in message


def test_up_to_five_mistakes_are_told_at_once_and_the_rest_counted(write) -> None:
    text = GOOD + "".join(f"x{n}: 1\n" for n in range(8))
    lines = refused(write, text).splitlines()
    assert len(lines) == 6
    assert lines[-1] == "and 3 more"


def test_a_missing_key_at_the_top_has_the_file(write) -> None:
    assert refused(write, "count: 1\n") == "a.yaml:1: tiers: missing key"


def test_an_inherited_mistake_is_told_where_it_was_written(write) -> None:
    write("base", GOOD.replace("64 GiB", "64 GHz"))
    message = refused(write, "extends: base\ncount: 0\n")
    assert "base.yaml:3: tiers.hbm.capacity" in message
    assert "a.yaml:2: count: found 0, expected at least 1" in message


def test_an_overrides_mistake_is_told_as_the_options(write) -> None:
    write("a", GOOD)
    with pytest.raises(ConfigError, match=r"^--set: tiers\.hbm\.capacity: found '3 W', expected a size"):
        validate(load("a", "hw", ["tiers.hbm.capacity=3 W"]), Machine)


def test_no_message_speaks_pydantics_jargon(write) -> None:
    values = ["null", "3", "x", "[x]", "{x: 1}", "true", ".inf"]
    texts = [
        GOOD + f"{key}: {value}\n" for key in ("count", "mode") for value in values if (key, value) != ("count", "3")
    ]
    texts += [GOOD.replace("64 GiB", value) for value in values if value != "3"]
    texts += [f"tiers: {value}" for value in values] + [f"tiers: {{hbm: {value}}}" for value in values]
    for text in texts:
        try:
            message = refused(write, text)
        except pytest.fail.Exception:
            continue  # `true` counts as 1
        assert not any(word in message for word in ("Input", "valid dict", "type=", "pydantic", "instance of"))
