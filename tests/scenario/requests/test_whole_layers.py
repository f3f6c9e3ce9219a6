"""Requests to an engine that runs a layer as a whole, by the scheduler of a program: compiled for what comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.scenario.evaluate import estimate, evaluate
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.scenario.requests.program import served
from simulator.serving.iteration.iterations import Iterations
from simulator.serving.kv.blocks import Blocks
from simulator.serving.stages import Stages
from simulator.workload.requests.request import Request
from tests.serving.service import stepping
from tests.serving.service.stepping import Stepping
from tests.serving.service.test_pool import check_equal, serve

NODE = {"hardware": "sn40l-node", "model": "llama-3.1-8b"}


def test_a_request_alone_is_its_estimate(tmp_path: Path) -> None:
    trace = tmp_path / "one.csv"
    trace.write_text("request_id,arrival_s,input_tokens,output_tokens\na,0,300,90\n")
    made = served(Scenario.model_validate({**NODE, "workload": {"kind": "requests", "trace": str(trace)}}))[0]
    expected = estimate(NODE["hardware"], NODE["model"], 1, 300, 90)
    assert made.figures.ttft.mean == pytest.approx(expected.ttft_s, rel=1e-9)
    assert made.figures.e2e.mean == pytest.approx(expected.e2e_s, rel=1e-9)


@pytest.mark.parametrize("tokens", [1024, 2048])
def test_a_prompt_in_chunks_takes_little_more_than_at_once(tokens: int) -> None:
    work = {"kind": "requests", "requests": 1, "process": "even", "input": 8192, "output": 4}
    forms = ({"kind": "vllm-v1", "tokens": tokens}, {"kind": "orca"})
    chunks, whole = (
        evaluate({**NODE, "mapping": {"scheduler": form}, "workload": work}).metrics["ttft_p50_s"] for form in forms
    )
    assert whole < chunks < 1.5 * whole


def test_the_more_of_a_prompt_is_cached_the_sooner_comes_its_first_token() -> None:
    mapping = {"scheduler": {"kind": "vllm-v1"}, "kv_store": {"kind": "prefix"}}
    work = {"kind": "requests", "requests": 20, "process": "even", "rate": 30, "input": 2000, "output": 4}
    waits = [
        evaluate({**NODE, "mapping": mapping, "workload": {**work, "shared": shared}}).metrics["ttft_p50_s"]
        for shared in (0.0, 0.9)
    ]
    assert waits[0] > 1.15 * waits[1]


def test_it_equals_stepping() -> None:
    form = Scenario.model_validate({**NODE, "workload": {"kind": "requests"}})
    of = Iterations(Stages(deployment(form, requests=True)).compiled_for(4, 100, 20))
    requests = [Request(str(i), i * 0.004, 40 + 37 * i, 9 + 5 * (i % 3), max_tokens=30) for i in range(6)]
    slow = Stepping(of, 16, 20, stepping.vllm_v1, tokens=128, most=4).run(requests)
    _, ended = serve("vllm-v1", of, Blocks(20, 16), "fcfs", 128, 4, requests)
    check_equal(ended, slow)
