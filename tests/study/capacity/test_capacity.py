"""What a service carries under an objective: laws of the search, and a user's mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import simulator
from simulator.errors import ConfigError
from simulator.study.capacity.objective import objectives

BASE: dict[str, Any] = {
    "hardware": "h100-sxm", "model": "llama-3.1-8b",
    "mapping": {"devices": 1, "scheduler": {"kind": "vllm-v1", "max_sequences": 16}, "kv_store": {"block": 16}},
    "workload": {"kind": "requests", "requests": 150, "input": 1500, "output": 60, "rate": 5},
}  # fmt: skip


def scenario(**mapping: Any) -> dict[str, Any]:
    return BASE | {"mapping": BASE["mapping"] | mapping}


def capacity(slo: str, of: Any = "rate", asked: Any = BASE, **how: Any) -> Any:
    return simulator.capacity(asked, slo, of, **{"tolerance": 0.2, **how})


def test_the_rate_lies_between_what_holds_and_what_fails() -> None:
    answer = capacity("ttft_p90<300 ms")
    assert answer.rate < answer.fails_at <= 1.2 * answer.rate
    trials = answer.points.set_index("rate_per_s")
    assert trials.loc[answer.rate, "holds"] and not trials.loc[answer.fails_at, "holds"]
    assert (trials.index[trials["holds"]] <= answer.rate).all()
    again = simulator.evaluate(BASE | {"workload": BASE["workload"] | {"rate": answer.rate}})
    assert again.metrics["ttft_p90_s"] == trials.loc[answer.rate, "ttft_p90_s"] <= 0.3


def test_a_stricter_objective_and_fewer_replicas_carry_no_more() -> None:
    rates = {slo: capacity(slo).rate for slo in ("ttft_p90<300 ms", "ttft_p90<1 s", "ttft_p90<300 ms,tbt_p99<20 ms")}
    assert rates["ttft_p90<300 ms,tbt_p99<20 ms"] <= rates["ttft_p90<300 ms"] <= rates["ttft_p90<1 s"]
    two = capacity("ttft_p90<300 ms", asked=scenario(scheduler={**BASE["mapping"]["scheduler"], "replicas": 2}))
    assert two.rate >= rates["ttft_p90<300 ms"]


def test_the_fewest_replicas_keep_it_and_one_less_do_not() -> None:
    answer = capacity("ttft_p90<300 ms", "replicas", rate=60.0)
    holds = answer.points.set_index("replicas")["holds"]
    assert answer.replicas > 1 and holds[answer.replicas] and not holds[answer.replicas - 1]
    assert answer.devices == answer.replicas


def test_the_best_ratio_is_of_all_machines() -> None:
    answer = capacity("ttft_p90<500 ms", "ratio", scenario(kv_store={"block": 16, "link": "50 GB/s"}), machines=3)
    assert answer.replicas + answer.prompts == 3 and answer.prompts >= 1
    tried = answer.points
    assert set(tried["prompts"]) == {1, 2}
    others = tried[(tried["prompts"] != answer.prompts) & tried["holds"]]
    assert (others["rate_per_s"] <= answer.rate * 1.2).all()


def test_a_trace_goes_faster_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    rows = "".join(f"r{i},{i * 0.5},1500,60\n" for i in range(100))
    file.write_text(f"request_id,arrival_s,input_tokens,output_tokens\n{rows}")
    answer = capacity("ttft_p90<300 ms", asked=BASE | {"workload": {"kind": "requests", "trace": str(file)}})
    assert answer.rate > 2.0 and 2.0 in answer.points["rate_per_s"].to_list()


@pytest.mark.parametrize(
    ("slo", "text"),
    [
        ("ttft_p98<2 s", "slo: no metric of requests: found 'ttft_p98'.*did you mean 'ttft_p9"),
        ("ttft_p99<2 GB", "2 GB"),
        ("ttft_p99", "slo: found 'ttft_p99', expected bounds as"),
    ],
)
def test_a_wrong_objective_is_told(slo: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        capacity(slo)


def test_what_cannot_be_kept_or_is_no_question_is_told() -> None:
    with pytest.raises(ConfigError, match="no rate keeps the objectives"):
        capacity("ttft_p50<1 us")
    closed = BASE | {"workload": {"kind": "requests", "loop": "closed"}}
    with pytest.raises(ConfigError, match="closed loop"):
        capacity("ttft_p50<1 s", asked=closed)
    with pytest.raises(ConfigError, match="machines"):
        capacity("ttft_p50<1 s", "ratio", machines=1)


def test_bounds_are_read_with_their_units() -> None:
    one, other = objectives("ttft_p99 < 2 s, tokens_per_s >= 100")
    assert (one.metric, one.at_most, one.bound) == ("ttft_p99_s", True, 2.0)
    assert (other.metric, other.at_most, other.bound) == ("tokens_per_s", False, 100.0)
    assert one.holds({"ttft_p99_s": 2.0}) and not one.holds({"ttft_p99_s": 2.1}) and not one.holds({})
