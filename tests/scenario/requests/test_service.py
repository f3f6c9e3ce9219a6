"""The service of a scenario: what chooses its requests, and where keys and values lie."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from simulator import evaluate
from simulator.errors import TiersimError
from simulator.files import forget
from simulator.mapping.footprint.room import most_blocks
from simulator.mapping.form import Scheduler
from simulator.scenario.cases import with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment, machine
from simulator.scenario.requests.program import served
from simulator.scenario.requests.service import Run, settings
from simulator.scenario.requests.spent import spent

MACHINE = {"hardware": "h100-sxm", "model": "llama-3.1-8b", "mapping": {"devices": 1}}


def scenario(**values: Any) -> Scenario:
    return with_values(Scenario(**MACHINE, workload={"kind": "requests"}), values)


def run(trace: Path, **values: Any) -> Run:
    return served(scenario(**{"workload.trace": str(trace), **values}))[0]


def of_prefixes(folder: Path, names: Sequence[str]) -> Path:
    """Requests one a second, each with the prefix of 480 tokens that has its name."""
    rows = "".join(f"r{i},{i},500,8,{name},480\n" for i, name in enumerate(names))
    file = folder / "requests.csv"
    file.write_text(f"request_id,arrival_s,input_tokens,output_tokens,prefix_id,prefix_tokens\n{rows}")
    return file


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Requests one after another, with the same first 480 tokens."""
    return of_prefixes(tmp_path, ["system"] * 4)


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


NODE = {"hardware": "dgx-h100", "costs": "silicon", "mapping.devices": 8, "mapping.scheduler.kind": "vllm-v1"}


WINDOWS = {"extends": "llama-3.1-8b", "attention": {"window": 512, "window_pattern": [True, False]}}


@pytest.mark.parametrize("model", ["llama-3.1-8b", {**WINDOWS, "attention": {"window": 720}}, WINDOWS])
def test_a_request_alone_takes_the_energy_of_a_pass_of_it(tmp_path: Path, model: Any) -> None:
    file = tmp_path / "one.csv"
    file.write_text("request_id,arrival_s,input_tokens,output_tokens\na,0,700,50\n")
    asked = scenario(**{**NODE, "model": model, "workload.trace": str(file)})
    made = spent(asked, served(asked)[0])
    workload = {"kind": "batch", "batch": 1, "input": 700, "output": 50}
    alone = evaluate(with_values(asked, {"workload": workload, "mapping.scheduler": None}))
    assert made.metrics["energy_per_token_j"] == pytest.approx(alone.metrics["energy_per_token_j"], rel=1e-9)
    assert not made.lacks and all(0 < share < 1 for share in made.utilisation.values())


def test_blocks_hold_the_whole_context_of_layers_with_a_window() -> None:
    small = {**WINDOWS, "attention": {"window": 24}}
    several = [deployment(scenario(**{**NODE, "model": model}), requests=True) for model in ("llama-3.1-8b", small)]
    assert len({most_blocks(each, size, 1024) for each in several for size in (16, 64)}) == 2


@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b"])
def test_a_second_replica_draws_as_much_and_serves_no_more(model: str, shared: Path) -> None:
    asked = scenario(**{**NODE, "model": model, "workload.trace": str(shared), "mapping.kv_store.kind": "blocks"})
    runs = [served(with_values(asked, {"mapping.scheduler.replicas": replicas}))[0] for replicas in (1, 2)]
    one, two = (spent(asked, each) for each in runs)
    for name, share in one.utilisation.items():
        assert two.utilisation[name] == pytest.approx(share / 2, rel=1e-9), name
    idle = machine(asked).machine.static_power + 8 * machine(asked).machine.devices["gpu"].static_power
    more = two.metrics["energy_per_token_j"] - one.metrics["energy_per_token_j"]
    assert more == pytest.approx(idle * runs[0].figures.seconds / runs[0].figures.output, rel=1e-6)
    assert two.metrics["usd_per_million_tokens"] == pytest.approx(2 * one.metrics["usd_per_million_tokens"])


def test_what_a_machine_lacks_for_its_energy_is_named(shared: Path) -> None:
    asked = scenario(**{"workload.trace": str(shared)})
    made = spent(asked, served(asked)[0])
    assert isnan(made.metrics["energy_per_token_j"]) and "devices.gpu.tiers.hbm.energy" in made.lacks


def test_a_queue_that_grows_is_told_from_one_that_stays_short() -> None:
    base: dict[str, Any] = {
        "hardware": "h100-sxm", "model": "llama-3.1-8b", "mapping": {"devices": 1, "runtime": "vllm-v1"},
        "workload": {"kind": "requests", "requests": 400, "input": 1000, "output": 100},
    }  # fmt: skip
    rates = np.array([2.0, 500.0])
    judged = evaluated(Scenario.model_validate(base), {"workload.rate": rates}, ("keeps_up", "undecided"))
    assert judged["keeps_up"].tolist() == [1.0, 0.0]
    few = base | {"workload": base["workload"] | {"requests": 20}}
    unknown = evaluated(Scenario.model_validate(few), {}, ("keeps_up", "undecided"))
    assert np.isnan(unknown["keeps_up"][0]) and "too few" in unknown["undecided"][0]


def with_tiers(trace: Path, **values: Any) -> Scenario:
    mapping = {"mapping.kv_store.kind": "prefix", "mapping.kv_store.block": 16, "mapping.kv_store.blocks": 45}
    return scenario(**{**NODE, "mapping.devices": 1, "workload.trace": str(trace), **mapping, **values})


@pytest.fixture
def returning(tmp_path: Path) -> Path:
    """Two prefixes in turn, of which memory has room for one, and a third one that comes once."""
    return of_prefixes(tmp_path, [*("ab" * 4), "c"])


def test_what_has_no_room_in_memory_is_found_behind_it_and_every_byte_is_counted(returning: Path) -> None:
    alone, asked = with_tiers(returning), with_tiers(returning, **{"mapping.kv_store.tiers": ["host"]})
    without, made = served(alone)[0].metrics(), served(asked)[0]
    metrics, (memory, host) = made.metrics(), made.tiers()
    assert without["hit_rate"] < metrics["hit_rate"] == pytest.approx(6 * 480 / (9 * 500))
    tokens = memory["cached_tokens"] + host["cached_tokens"]
    assert tokens == 6 * 480 and host["cached_tokens"] == pytest.approx(metrics["hit_rate_behind"] * 9 * 500)
    token_bytes = 2 * 32 * 8 * 128 * 2  # keys and values, layers, heads, bf16
    assert metrics["loaded_bytes"] == host["bytes_out"] == host["cached_tokens"] * token_bytes
    assert host["bytes_in"] == memory["bytes_out"] >= host["bytes_out"]
    cost = spent(asked, made)
    link = deployment(asked, requests=True).high.system["host->gpu.hbm"]
    used = metrics["loaded_bytes"] / (float(link.capacity) * made.figures.seconds * link.count)
    assert cost.utilisation["host->gpu.hbm"] == pytest.approx(used, rel=1e-9)
    halved = served(with_values(asked, {"mapping.kv": "fp8"}))[0].metrics()
    assert halved["loaded_bytes"] == metrics["loaded_bytes"] / 2


def test_a_load_takes_its_time_and_none_where_there_is_no_tier(returning: Path) -> None:
    def e2e(**values: Any) -> float:
        return served(with_tiers(returning, **values))[0].figures.e2e.mean

    tiers = "mapping.kv_store.tiers"
    over, waits = (e2e(**{tiers: ["host"], "mapping.kv_store.overlap": how}) for how in ("layer", "none"))
    assert over < waits
    assert e2e() == e2e(**{tiers: [{"tier": "host", "bytes": 0}]})


@pytest.mark.parametrize(("bandwidth", "used"), [("460 GB/s", True), ("1 GB/s", False)])
def test_a_tier_that_is_slower_than_to_compute_anew_is_never_written(
    returning: Path, bandwidth: str, used: bool
) -> None:
    slow = {"hardware.tiers.host.bandwidth": bandwidth, "mapping.kv_store.tiers": ["host"]}
    runs = [with_tiers(returning), with_tiers(returning, **slow, **{"mapping.kv_store.reuse": "faster"})]
    never, faster = (served(each)[0] for each in runs)
    assert (faster.metrics()["written_bytes"] > 0) == (faster.metrics()["hit_rate_behind"] > 0) == used
    assert used or faster.figures.e2e.mean == never.figures.e2e.mean


@pytest.fixture
def models(tmp_path: Path) -> Path:
    trace = tmp_path / "models.csv"
    rows = [f"{i},{i},100,20,{model}" for i, model in enumerate("abacb")]
    trace.write_text("\n".join(["request_id,arrival_s,input_tokens,output_tokens,model", *rows]))
    return trace


def test_models_that_take_turns_are_copied_from_their_home(models: Path) -> None:
    asked = with_tiers(models, **{"mapping.kv_store.kind": "blocks", "mapping.scheduler.home": "host"})
    made = served(asked)[0]
    assert made.pools[0].work.loads == 5, "each finds another loaded"
    link, weights = deployment(asked, requests=True).high.system["host->gpu.hbm"], 2 * 8.03e9
    used = 5 * weights / (float(link.capacity) * made.figures.seconds * link.count)
    assert spent(asked, made).utilisation["host->gpu.hbm"] == pytest.approx(used, rel=1e-3)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"mapping.scheduler.home": "hots"}, "mapping.scheduler.home: .*found 'hots'.*did you mean 'host'"),
        ({"mapping.scheduler.home": "gpu.sram"}, "home: tiers .*found 'gpu.sram', expected 'host'"),
        ({"mapping.scheduler.home": "host"}, "home: found 'host', and keys and values of 'prefix', .*kind: blocks"),
    ],
)
def test_a_wrong_home_is_told(models: Path, values: dict[str, Any], text: str) -> None:
    with pytest.raises(TiersimError, match=text):
        served(with_tiers(models, **values))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"tiers": ["hots"]}, "mapping.kv_store.tiers.0.tier: .*found 'hots'.*did you mean 'host'"),
        ({"tiers": ["gpu.sram"]}, "tiers.0.tier: .*found 'gpu.sram', expected 'host'"),
        ({"tiers": ["host", "host"]}, "tiers.1.tier: .*behind gpu.hbm, host: found 'host'"),
        ({"tiers": [{"tier": "host", "bytes": "1000 TB"}]}, "tiers.0.bytes: .*needs"),
        ({"tiers": ["host"], "kind": "blocks"}, "mapping.kv_store.tiers: found some, of 'blocks', .*'prefix'"),
    ],
)
def test_a_wrong_tier_is_told(returning: Path, values: dict[str, Any], text: str) -> None:
    asked = with_tiers(returning, **{f"mapping.kv_store.{key}": value for key, value in values.items()})
    with pytest.raises(TiersimError, match=text):
        served(asked)


DRAWN = {
    "requests": 60, "arrivals": {"kind": "poisson", "rate": 2},
    "lengths": {"kind": "log_normal", "input": 800, "output": 40},
    "sessions": {"turns": 3, "think": "5 s"}, "prefixes": {"tokens": 64},
}  # fmt: skip


def test_requests_that_laws_draw_are_those_of_the_yaml_of_these_laws(tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(yaml.safe_dump(DRAWN))
    within, beside = (
        served(scenario(**{"workload.trace": trace, "mapping.runtime": "vllm-v1"}))[0].metrics()
        for trace in (DRAWN, str(file))
    )
    assert within == beside
    assert within["ended"] == 60
    assert within["hit_rate"] > 0.3
    turns = with_values(scenario(**{"workload.trace": DRAWN}), {"workload.trace.sessions.turns": 1})
    assert served(with_values(turns, {"mapping.runtime": "vllm-v1"}))[0].metrics()["hit_rate"] < 0.1


def test_what_was_served_before_on_the_same_machine_changes_no_time() -> None:
    asked = scenario(**{"workload.trace": DRAWN, "mapping.runtime": "vllm-v1"})
    forget()
    alone = served(asked)[0].metrics()
    forget()
    served(with_values(asked, {"mapping.scheduler.tokens": 256, "workload.trace.arrivals.rate": 20}))
    assert served(asked)[0].metrics() == alone


@pytest.mark.parametrize(("input", "output", "rate", "pays"), [(1, 64, 250.0, False), (4096, 64, 24.0, True)])
def test_prompts_elsewhere_pay_where_prompts_are_long_and_never_without_any(
    input: int, output: int, rate: float, pays: bool
) -> None:
    base = scenario(**{
        "workload.requests": 150, "workload.input": input, "workload.output": output, "workload.rate": rate,
        "workload.ttft": 1.0, "workload.tpot": 0.015, "mapping.runtime": "vllm-v1", "mapping.scheduler.kind": "vllm-v1",
    })  # fmt: skip
    apart = {"mapping.kv_store.link": 50e9, "mapping.scheduler.prompts": 3}
    together = served(with_values(base, {"mapping.scheduler.replicas": 4}))[0].metrics()
    split = served(with_values(base, apart))[0].metrics()
    assert (split["goodput_per_s"] > 1.5 * together["goodput_per_s"]) == pays
    assert pays or split["tpot_p90_s"] > together["tpot_p90_s"]
