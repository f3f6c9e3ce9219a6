"""Traces, runs and draws of any small size: finite numbers, or a refusal that names what is needed; never a warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulator.explore.sweep.neurons import Neurons
from simulator.explore.sweep.requests import Requests
from tests.baselines.test_flash import EXPERIMENT as FLASH
from tests.baselines.test_flash import MODEL

from simulator.baselines.simulate import simulate
from simulator.errors import ConfigError

QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = st.integers(1, 12)


@contextmanager
def strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def blanks(row: dict[str, Any], *known: str) -> set[str]:
    """Numbers that are none, but for those that are known to have no value here."""
    return {key for key, value in row.items() if isinstance(value, float) and not np.isfinite(value)} - set(known)


@given(requests=SMALL, batch=SMALL, output=st.integers(1, 3), rate=st.floats(0.01, 1e5))
@QUICK
def test_sweeps_of_few_requests(requests: int, batch: int, output: int, rate: float) -> None:
    base = {"hardware": "dgx-h100", "model": "llama-3-8b", "workload.input": 16, "workload.rate": rate}
    sizes = {"workload.requests": requests, "workload.batch": batch, "workload.output": output}
    with strict():
        row = one_row(Requests(base), sizes)
    gaps = () if output > 1 else ("tbt_p50_s", "tbt_p99_s")  # one token has none after it
    assert not blanks(row, "keeps_up", *gaps, *COSTS), row
    assert row["undecided"]


@given(memory=st.floats(2e9, 8e9), output=SMALL)
@settings(QUICK, max_examples=5)
def test_sweeps_of_neurons(memory: float, output: int) -> None:
    base = {
        "hardware": "phone-ufs4", "model": "llama-3.1-8b", "mapping.dtype": "int4", "mapping.engine": "npu",
        "mapping.flash": "soc.flash", "mapping.dram": "soc.dram", "mapping.manager": "soc.cpu",
    }  # fmt: skip
    with strict():
        row = one_row(Neurons(base), {"mapping.memory_bytes": memory, "workload.input": output})
    assert row["error"] or not blanks(row, *COSTS), row


SERVING = """\
schema: 1
kind: serving
title: small
systems:
  together: {hardware: duplex-h100}
  apart:
    {hardware: duplex-split, engines: [prompts.xpu, prompts.pim], answers: [answers.xpu, answers.pim],
     dispatch: static_by_layer, together: true, scale: 0}
models:
  mixtral-8x7b: {devices: 4}
loops:
  one: {systems: [SYSTEM], lengths: {mixtral-8x7b: [[16, OUTPUT]]}, batches: [BATCH]}
lengths: {spread: SPREAD}
rounds: ROUNDS
"""


@pytest.mark.parametrize("system", ["together", "apart"])
@given(
    batch=st.integers(1, 4), output=st.integers(1, 8), rounds=st.floats(0.01, 4.0), spread=st.sampled_from([0.0, 0.4])
)
@QUICK
def test_closed_loops_of_few_rounds(
    tmp_path: Path, system: str, batch: int, output: int, rounds: float, spread: float
) -> None:
    file, text = tmp_path / "experiment.yaml", SERVING
    said = {"SYSTEM": system, "OUTPUT": output, "BATCH": batch, "SPREAD": spread, "ROUNDS": rounds}
    for key, value in said.items():
        text = text.replace(key, str(value))
    file.write_text(text)
    with strict():
        try:
            (row,) = simulate(file).outcome.points
        except ConfigError as error:
            assert error.path == "rounds" and rounds < 2
            return
    shares = {key for key in row if "_share_" in key}  # of a kind of stage that there may be none of
    gaps = () if output > 1 else ("tbt_p50_s", "tbt_p90_s", "tbt_p99_s")
    assert not blanks(row, "energy_j_per_token", *gaps, *shares), row


@given(
    tokens=st.integers(1, 4), warm_up=st.integers(1, 6), drafted=st.integers(0, 3),
    overlap=st.sampled_from(["none", "layer", "prefetch"]),
)  # fmt: skip
@QUICK
def test_flash_runs_of_few_tokens(tmp_path: Path, tokens: int, warm_up: int, drafted: int, overlap: str) -> None:
    (tmp_path / "small.yaml").write_text(MODEL, encoding="utf-8")
    file = tmp_path / "experiment.yaml"
    file.write_text(FLASH.replace("MODEL", str(tmp_path / "small.yaml")), encoding="utf-8")
    method = f"methods.all={{kind: sparse, drafted: {drafted}, acceptance: 0.5, overlap: {overlap}}}"
    with strict():
        try:
            (row,) = simulate(file, [f"tokens={tokens}", f"warm_up={warm_up}", method]).outcome.points
        except ConfigError as error:
            assert drafted and error.path == "tokens"
            return
    assert not blanks(row), row


COSTS = ("area_m2", "price_usd", "peak_power_w")  # of sweeps without costs


def one_row(evaluator: Any, point: dict[str, Any]) -> dict[str, Any]:
    found = evaluator({path: np.array([value]) for path, value in point.items()})
    return {name: values[0] for name, values in found.items()}
