from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from simulator.errors import UnitError
from simulator.units import (
    TABLE,
    Bandwidth,
    Bytes,
    EnergyPerByte,
    Fraction,
    Seconds,
    Unit,
    Watts,
    meaning,
    parse,
    show,
)


@pytest.mark.parametrize("text", TABLE)
def test_each_entry_of_the_table_is_pints_own_answer(text: str) -> None:
    si, factor = TABLE[text]
    ours, base = meaning(text), meaning(si)
    assert ours is not None and base is not None
    assert ours[0] == base[0], "another dimension"
    assert ours[1] / base[1] == factor, "another worth"


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1.8 TB/s", "B/s", 1.8e12),
        ("1.8TB/s", "B/s", 1.8e12),
        ("200 GB/s", "B/s", 200e9),
        ("200 Gbit/s", "B/s", 25e9),
        ("520 MiB", "B", 520 * 2**20),
        ("14 GB", "B", 14e9),
        ("14 GiB", "B", 14 * 2**30),
        ("638 TFLOP/s", "FLOP/s", 638e12),
        ("638 TOP/s", "FLOP/s", 638e12),
        ("3.9 pJ/bit", "J/B", 31.2e-12),
        ("0.64 pJ/FLOP", "J/FLOP", 0.64e-12),
        ("14 us", "s", 14e-6),
        ("14 µs", "s", 14e-6),
        ("1.6 GHz", "Hz", 1.6e9),
        ("400 W", "W", 400.0),
        ("1.5 kWh", "J", 5.4e6),
        ("2 hour", "s", 7200.0),
        ("826 mm^2", "m^2", 826e-6),
        ("91 %", "1", 0.91),
        (" 2.5e3  ", "B", 2500.0),
        ("-3 s", "s", -3.0),
        (7, "B", 7.0),
        (1.5, "s", 1.5),
    ],
)
def test_a_figure_is_read_in_si_base_units(text: str | float, unit: str, value: float) -> None:
    assert parse(text, unit) == value


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("200 GHz", "B/s", "a bandwidth such as '1.8 TB/s'"),
        ("200 GB", "B/s", "a bandwidth such as '1.8 TB/s'"),
        ("5 pJ", "J/B", "an energy per bit or byte such as '3.9 pJ/bit'"),
        ("3 m", "s", "a time such as '14 us'"),
        ("3 GB", "FLOP", "a count of operations such as '16 GFLOP'"),
        ("3 GB", "kg", "a value in kg"),
    ],
)
def test_a_wrong_dimension_names_the_one_expected_with_an_example(text: str, unit: str, expected: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse(text, unit)
    assert caught.value.found == f"'{text}'"
    assert caught.value.expected == expected


@pytest.mark.parametrize(
    ("text", "unit", "meant"),
    [
        ("200 Gb/s", "B/s", "200 Gbit/s"),
        ("600 TFLOPS", "FLOP/s", "600 TFLOP/s"),
        ("600 TFLOPs", "FLOP/s", "600 TFLOP/s"),
        ("600 TOPS", "FLOP/s", "600 TFLOP/s"),
        ("16 TFLOPS", "FLOP", "16 TFLOP"),
        ("1.8 TBps", "B/s", "1.8 TB/s"),
        ("1.8 TB", "B/s", "1.8 TB/s"),
        ("5 mB", "B", "5 MB"),
        ("5 KB", "B", "5 kB"),
        ("8 Gb", "B", "8 Gbit"),
        ("3,35 TB/s", "B/s", "3.35 TB/s"),
        ("1,000 GB/s", "B/s", "1000 GB/s"),
        ("1,234,567 B", "B", "1234567 B"),
        ("1,2345 TB", "B/s", "1.2345 TB/s"),
    ],
)
def test_a_trap_is_refused_and_what_was_meant_is_suggested(text: str, unit: str, meant: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse(text, unit)
    assert caught.value.nearest == meant
    assert parse(meant, unit) > 0


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "B",
            "nan",
            "inf",
            "-inf",
            "1e999",
            "12,288 GB",
            "1 2 GB",
            "GB 3",
            "3 furbs",
            "3 B/",
            "3 GB+1",
            "9" * 5000,
        ),
        *("3 B**9**9**9", "3 __import__('os')", "1 B\n; 2 B", math.nan, math.inf, 10**400, True, None, [], {}),
    ],
)
def test_what_is_no_finite_figure_is_refused(value) -> None:
    with pytest.raises(UnitError):
        parse(value, "B")


@given(
    st.floats(1e-15, 1e18) | st.just(0.0) | st.floats(-1e18, -1e-15),
    st.sampled_from(["B", "B/s", "FLOP", "FLOP/s", "s", "Hz", "W", "J", "J/B", "J/FLOP", "m^2", "USD", "1"]),
)
def test_what_is_shown_reads_back_to_four_digits(value: float, unit: str) -> None:
    assert parse(show(value, unit), unit) == pytest.approx(value, rel=5.1e-4, abs=1e-300)


@given(st.decimals(0, 10**6, places=4), st.sampled_from(list(TABLE)))
def test_a_figure_is_exact_and_rounded_once(number, text: str) -> None:
    from fractions import Fraction as Exact

    si, factor = TABLE[text]
    assert parse(f"{number} {text}", si) == float(Exact(number) * factor)


@given(st.text(max_size=30))
def test_no_text_does_worse_than_a_unit_error(text: str) -> None:
    try:
        assert math.isfinite(parse(text, "B/s"))
    except UnitError as error:
        assert "expected a bandwidth" in str(error)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1.8e12, "B/s", "1.8 TB/s"),
        (999.99e9, "B", "1 TB"),
        (0.0, "B", "0 B"),
        (14e-6, "s", "14 us"),
        (5000.0, "s", "5000 s"),
        (31.2e-12, "J/B", "3.9 pJ/bit"),
        (826e-6, "m^2", "826 mm^2"),
        (0.91, "1", "0.91"),
        (1200.0, "USD", "1200 USD"),
        (math.inf, "s", "inf s"),
    ],
)
def test_a_value_is_shown_as_a_reader_writes_it(value: float, unit: str, shown: str) -> None:
    assert show(value, unit) == shown


class Part(BaseModel):
    capacity: Bytes = 1.0
    bandwidth: Bandwidth = 1.0
    latency: Seconds = 0.0
    power: Watts = 0.0
    energy: EnergyPerByte = 1.0
    efficiency: Fraction = 1.0


def test_a_field_reads_text_and_numbers_alike() -> None:
    part = Part(capacity="64 GiB", bandwidth=1.8e12, latency=0, energy="3.9 pJ/bit", efficiency="91 %")
    assert (part.capacity, part.bandwidth, part.latency) == (64 * 2**30, 1.8e12, 0.0)
    assert (part.energy, part.efficiency) == (31.2e-12, 0.91)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, value) for name in Part.model_fields for value in ("-1", math.nan, math.inf, "x", None, True)],
        *[(name, 0) for name in ("capacity", "bandwidth", "energy", "efficiency")],
        ("efficiency", 1.01),
        ("bandwidth", "1 GHz"),
    ],
)
def test_a_field_refuses_what_cannot_be(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Part(**{name: value})


@pytest.mark.parametrize(
    ("unit", "meant"),
    [
        ("B/s", "GB/s"), ("bit/s", "Gbit/s"), ("FLOP/s", "TFLOP/s"), ("Hz", "GHz"), ("J/B", "pJ/bit"),
        ("J/FLOP", "pJ/FLOP"), ("m^2", "mm^2"),
    ],
)  # fmt: skip
@given(number=st.floats(1.0, 999.0, exclude_min=True))
def test_a_number_that_lacks_its_unit_is_refused_with_the_one_that_was_meant(
    unit: str, meant: str, number: float
) -> None:
    for plain in (number, str(number)):
        with pytest.raises(UnitError) as caught:
            parse(plain, unit)
        assert caught.value.nearest == f"{number} {meant}"
    assert parse(caught.value.nearest, unit) == parse(parse(caught.value.nearest, unit), unit)  # which is plain SI
    assert parse(f"{number} {unit}", unit) == pytest.approx(number)


@pytest.mark.parametrize("unit", ["B", "s", "W", "J", "FLOP", "USD", "1"])
@given(number=st.floats(0.0, 1e6).filter(lambda each: each == 0 or each > 1e-6))
def test_other_plain_numbers_are_in_si_units(unit: str, number: float) -> None:
    assert parse(number, unit) == number


def test_a_reader_can_find_the_unit_of_a_field() -> None:
    assert Unit("B/s") in Part.model_fields["bandwidth"].metadata
    assert Unit("1") in Part.model_fields["efficiency"].metadata


def test_common_figures_do_not_load_pint() -> None:
    program = "import sys; from simulator.units import parse; parse('1.8 TB/s', 'B/s'); sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
