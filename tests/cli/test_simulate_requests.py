"""`tiersim simulate` of a trace: what it prints and writes, and how it tells a user's mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from simulator.units import show

TRACE = "request_id,arrival_s,input_tokens,output_tokens\na,0,64,4\nb,0.001,200,8\nc,0.002,16,1\n"
ON = ("simulate", "--hardware", "h100-sxm", "--model", "llama-3.1-8b", "--devices", "1")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    return file


def test_a_trace_is_served_and_written(run, trace: Path, tmp_path: Path) -> None:
    out, timeline = tmp_path / "out", tmp_path / "run.json"
    told = run(*ON, "--trace", trace, "--scheduler", "sarathi", "--output", out, "--timeline", timeline, "--json")
    assert (told.code, told.err) == (0, "")
    document = told.json
    assert document["metrics"]["ended"] == 3 and not document["partial"]
    rows = pd.read_parquet(out / "requests.parquet").sort_values("request_id")
    assert rows["output_tokens"].tolist() == [4, 8, 1]
    assert (rows["first_token_s"] > rows["arrival_s"]).all()
    events = json.loads(timeline.read_text())["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) >= 2
    assert {event["id"] for event in events if event["ph"] == "b"} == {"a", "b", "c"}
    assert json.loads((out / "provenance.json").read_text())["config"]["scenario"]["workload"]["trace"] == str(trace)


def test_the_terminal_has_each_wait_once_with_its_percentiles_and_says_what_was_served(run, trace: Path) -> None:
    told = run(*ON, "--trace", trace)
    document = run(*ON, "--trace", trace, "--json").json["metrics"]
    assert (told.code, told.err) == (0, "")
    assert f"llama-3.1-8b on h100-sxm: requests of {trace}" in told.out.replace("\n", "")
    (line,) = [line for line in told.out.splitlines() if line.startswith("time to first token  ")]
    assert line.split() == ["time", "to", "first", "token", *" ".join(_ms(document, "ttft")).split()]
    assert "too few to tell a trend" in told.out and "the machine lacks" in told.out
    (line,) = [line for line in told.out.splitlines() if line.startswith("throughput ")]
    assert line.split() == ["throughput", f"{document['tokens_per_s']:.4g}", "tok/s"]


def test_options_of_a_scheduler_leave_the_other_keys_of_a_scenario(run, tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(
        "{hardware: h100-sxm, model: llama-3.1-8b, mapping: {devices: 1, scheduler: {kind: orca, max_sequences: 2}}, "
        "workload: {kind: requests, loop: closed, batch: 4, rounds: 1, input: 64, output: 4}}"
    )
    for option, replaced in (("--replicas", {"replicas": 2}), ("--scheduler", {"kind": "sarathi"})):
        out = tmp_path / option
        assert run("simulate", file, option, *replaced.values(), "--output", out, "--json").code == 0
        served = json.loads((out / "provenance.json").read_text())["config"]["scenario"]["mapping"]["scheduler"]
        assert {key: served[key] for key in ("kind", "max_sequences", *replaced)} == {
            "kind": "orca", "max_sequences": 2, **replaced,
        }  # fmt: skip


def _ms(metrics: dict[str, float], name: str) -> list[str]:
    return [show(metrics[f"{name}_{percentile}_s"], "s") for percentile in ("p50", "p90", "p99")]


def test_rows_that_are_wrong_are_told_or_left_out(run, trace: Path) -> None:
    trace.write_text(TRACE + "d,0.003,0,5\n")
    told = run(*ON, "--trace", trace)
    assert told.code == 2 and "trace.csv:5" in told.err
    told = run(*ON, "--trace", trace, "--skip-bad", "--json")
    assert told.code == 0 and sum(told.json["left_out"].values()) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--scheduler", "vllm-v2"), "--scheduler: found 'vllm-v2'"),
        (("--scheduler", "vllm-v2"), "did you mean 'vllm-v1'?"),
        (("--replicas", "2", "--set", "workload.trace=null"), "--replicas: "),
        (("--trace", "nowhere.csv"), "nowhere.csv"),
        (("--set", "mapping.kv_store.blocks=1"), "more `kv_store.blocks`"),
        (
            ("--set", "mapping.kv_store.kind=prefix", "--set", "mapping.kv_store.tiers=hots"),
            "--set: mapping.kv_store.tiers.0.tier: ",
        ),
    ],
)
def test_a_mistake_is_told_by_its_option(run, trace: Path, options: tuple[str, ...], text: str) -> None:
    told = run(*ON, *(() if "--trace" in options else ("--trace", trace)), *options)
    assert told.code == 2
    assert text in told.err and "Traceback" not in told.err


def test_nothing_to_simulate_is_told(run) -> None:
    assert "--trace" in run("simulate").err


def test_broken_off_it_is_partial(run, trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.serving.service.pool import Pool

    ended = 0

    def serve(self: Pool, decision: object, limit: float) -> bool:
        nonlocal ended
        ended += 1
        if ended > 3:
            raise KeyboardInterrupt
        return served(self, decision, limit)

    served = Pool._serve
    monkeypatch.setattr(Pool, "_serve", serve)
    told = run(*ON, "--trace", trace, "--output", tmp_path / "out", "--json")
    assert told.code == 0 and told.json["partial"]
    import pyarrow.parquet as pq

    assert pq.read_metadata(tmp_path / "out" / "requests.parquet").metadata[b"partial"] == b"true"
    assert told.json["metrics"]["ended"] < 3


def test_a_series_is_written_and_drawn(run, trace: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"series.{kind}" for kind in ("csv", "parquet", "svg")]
    told = run(*ON, "--trace", trace, *(part for file in files for part in ("--series", file)), "--window", "1 ms")
    assert (told.code, told.err) == (0, "")
    frame = pd.read_csv(files[0])
    assert (frame["arrivals_per_s"] * frame["seconds"]).sum() == pytest.approx(3)
    assert frame["start_s"].tolist() == pytest.approx(pd.read_parquet(files[1])["start_s"].tolist())
    assert files[2].read_text().startswith("<?xml")
    assert "--series FILE beside it" in run(*ON, "--trace", trace, "--window", "1 s").err
    assert "expected a file of .csv" in run(*ON, "--trace", trace, "--series", "series.txt").err


def test_capacity_is_found_and_a_wrong_objective_is_told(run) -> None:
    drawn = ("--set", "workload.requests=40", "--set", "mapping.scheduler.max_sequences=4")
    on = ("capacity", *ON[1:], "--scheduler", "vllm-v1", *drawn, "--tolerance", "0.3")
    told = run(*on, "--slo", "ttft_p90<200 ms", "--json")
    assert told.code == 0 and told.json["rate_per_s"] < told.json["fails_at_per_s"]
    assert "did you mean 'ttft_p99'" in run(*on, "--slo", "tttft_p99<1 s").err
