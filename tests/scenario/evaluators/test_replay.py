"""A recorded run, request by request: what the simulation says of each, what the record does, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.scenario.cases import with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario
from simulator.scenario.requests.program import served

HEADER = "source,device,model,request,input_len,output_len,arrival_s,scheduled_s,first_token_s,last_token_s"
RECORD = f"""{HEADER}
here,gpu,m,b,500,8,0,0.1,0.3,1
here,gpu,m,a,400,2,0.5,0.5,0.75,0.85
here,gpu,m,c,600,1,1,1,1.5,1.5
"""


@pytest.fixture
def record(tmp_path: Path) -> Path:
    file = tmp_path / "run.csv"
    file.write_text(RECORD)
    return file


def scenario(trace: Path | str, kind: str = "replay", **values: Any) -> Scenario:
    made = {"hardware": "h100-sxm", "model": "llama-3.1-8b", "mapping": {"devices": 1}}
    return with_values(Scenario(**made, workload={"kind": kind, "trace": str(trace)}), values)


def table(asked: Scenario, requests: int = 3) -> dict[str, Any]:
    made = evaluated(asked, {"workload.request": np.arange(requests)})
    assert not any(made["error"]), made["error"]
    return made


def test_the_record_is_told_in_the_order_of_the_file(record: Path) -> None:
    told = table(scenario(record))
    assert told["recorded_ttft_s"].tolist() == pytest.approx([0.3, 0.25, 0.5])
    assert told["recorded_queue_s"].tolist() == pytest.approx([0.1, 0, 0])
    assert told["recorded_service_s"].tolist() == pytest.approx([0.2, 0.25, 0.5])
    assert told["recorded_tpot_s"][:2].tolist() == pytest.approx([0.1, 0.1]) and np.isnan(told["recorded_tpot_s"][2])
    assert set(told["recorded_span_s"]) == {1.5}
    assert told["input_tokens"].tolist() == [500, 400, 600]


def test_each_request_is_that_of_the_run(record: Path) -> None:
    told = table(scenario(record))
    run = served(scenario(record, kind="requests"))[0]
    assert np.median(told["ttft_s"]) == run.metrics()["ttft_p50_s"]
    assert told["span_s"][0] == run.figures.seconds
    assert told["queue_s"] + told["service_s"] == pytest.approx(told["ttft_s"])


def test_what_prompts_share_is_found_again(record: Path) -> None:
    alone = table(scenario(record, **{"mapping.kv_store.kind": "prefix"}))
    alike = table(scenario(record, **{"mapping.kv_store.kind": "prefix", "workload.shared": 0.5}))
    assert alone["hit_rate"][0] == 0 < alike["hit_rate"][0] < 0.5
    assert alike["ttft_s"][1] < alone["ttft_s"][1]


@pytest.mark.parametrize("name", ["vllm-rtx-4090", "vllm-rtx-pro-6000"])
def test_recorded_runs_ship_by_name(name: str) -> None:
    told = evaluated(scenario(name), {"workload.request": np.array([0, 299])}, ["recorded_ttft_s"])
    assert not any(told["error"]) and (told["recorded_ttft_s"] > 0).all()


def test_a_request_that_there_is_not_and_a_trace_without_times_are_refused(record: Path, tmp_path: Path) -> None:
    assert "less than 3" in evaluated(scenario(record), {"workload.request": np.array([3])})["error"][0]
    other = tmp_path / "other.csv"
    other.write_text("request_id,arrival_s,input_tokens,output_tokens\na,0,5,5\n")
    assert "no column 'first_token_s'" in evaluated(scenario(other), {"workload.request": np.array([0])})["error"][0]
    with pytest.raises(ConfigError):
        scenario(record, **{"workload.shared": 1.5})
