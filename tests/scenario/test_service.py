"""The service of a scenario: what chooses its requests, and where keys and values lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.mapping.form import Scheduler
from simulator.scenario.cases import with_values
from simulator.scenario.evaluators.requests import served
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.scenario.service import Run, settings

MACHINE = {"hardware": "h100-sxm", "model": "llama-3.1-8b", "mapping": {"devices": 1}}


def scenario(**values: Any) -> Scenario:
    return with_values(Scenario(**MACHINE, workload={"kind": "requests"}), values)


def run(trace: Path, **values: Any) -> Run:
    return served(scenario(**{"workload.trace": str(trace), **values}))[0]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Requests one after another, with the same first 480 tokens."""
    rows = "".join(f"r{i},{i},500,8,system,480\n" for i in range(4))
    file = tmp_path / "shared.csv"
    file.write_text(f"request_id,arrival_s,input_tokens,output_tokens,prefix_id,prefix_tokens\n{rows}")
    return file


@pytest.mark.parametrize(
    ("mapping", "settled"),
    [
        ({"runtime": "vllm-v1"}, Scheduler(kind="vllm-v1", max_sequences=1024, ahead=True)),
        ({"runtime": "vllm"}, Scheduler(kind="vllm-v0", max_sequences=256)),
        ({"runtime": "vllm-v1", "scheduler": {"max_sequences": 8, "ahead": False}},
         Scheduler(kind="vllm-v1", max_sequences=8, ahead=False)),
        ({"runtime": "vllm-v1", "scheduler": {"kind": "orca"}}, Scheduler(kind="orca", max_sequences=1024)),
        ({"scheduler": {"tokens": 512}}, Scheduler(kind="vllm-v1", tokens=512)),
    ],
)  # fmt: skip
def test_a_runtime_says_what_the_mapping_does_not(mapping: dict[str, Any], settled: Scheduler) -> None:
    asked = Scenario(**{**MACHINE, "mapping": mapping}, workload={"kind": "requests"})
    again = Scenario.model_validate(asked.written())
    assert settings(deployment(asked, requests=True)) == settled
    assert settings(deployment(again, requests=True)) == settled


def test_prefixes_are_cached_where_the_runtime_does_and_the_mapping_says_nothing(shared: Path) -> None:
    rates = {
        (runtime, kind): run(
            shared, **{"mapping.runtime": runtime, **({"mapping.kv_store.kind": kind} if kind else {})}
        ).metrics()["hit_rate"]
        for runtime, kind in (("vllm-v1", None), ("vllm-v1", "blocks"), ("vllm", None), ("vllm", "prefix"))
    }
    assert rates["vllm-v1", None] == rates["vllm", "prefix"] == pytest.approx(3 * 480 / (4 * 500))
    assert rates["vllm-v1", "blocks"] == rates["vllm", None] == 0
