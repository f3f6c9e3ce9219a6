"""Reads of flash by their size and the threads that wait: laws of the rate, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.scenario.evaluate import evaluate

TIERS = {"home": "soc.flash", "cache": "soc.dram"}


def rate(chunk: float, hardware: str = "m1-max", **residency: Any) -> float:
    keeps = {**TIERS, **residency}
    workload = {"kind": "flash_reads", "chunk": f"{chunk} B"}
    return float(
        evaluate({"hardware": hardware, "mapping": {"residency": keeps}, "workload": workload}).metrics["bandwidth"]
    )  # type: ignore[arg-type]


@given(chunk=st.integers(1, 64), threads=st.integers(1, 31))
@settings(max_examples=20, deadline=None)
def test_larger_chunks_and_more_threads_are_never_slower(chunk: int, threads: int) -> None:
    size = 4096.0 * chunk
    assert rate(size, threads=threads) <= rate(2 * size, threads=threads) * (1 + 1e-12)
    assert rate(size, threads=threads) <= rate(size, threads=threads + 1) * (1 + 1e-12)


def test_few_threads_wait_one_read_at_a_time() -> None:
    assert rate(4096, threads=4) == pytest.approx(4 * rate(4096, threads=1))
    assert rate(4096, threads=1000) == rate(4096), "no more than the queue holds"


def test_chunks_end_to_end_move_more_grains_and_are_slower() -> None:
    phone = {"hardware": "phone-ufs4", "threads": 32}
    assert rate(6000, packed=True, **phone) < rate(6000, packed=False, **phone)
    assert rate(4096, packed=False, **phone) > rate(4000, packed=False, **phone), "a whole grain comes all the same"


@pytest.mark.parametrize(
    ("residency", "message"),
    [
        ({"home": "soc.flsh"}, r"mapping\.residency\.home.*found 'soc\.flsh'.*did you mean 'soc\.flash'"),
        ({"home": "soc.dram"}, r"mapping\.residency\.cache: found 'soc\.dram', expected another than the home tier"),
        ({"cache": None}, r"mapping\.residency\.cache: missing key"),
        ({"threads": 0}, r"mapping\.residency\.threads"),
    ],
)
def test_what_cannot_be_read_is_refused(residency: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rate(4096, **residency)
