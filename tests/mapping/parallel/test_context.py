"""Groups of devices that share each sequence: what each computes, sends and keeps."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.core.events import events
from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.mapping.deployment import Deployment, resolve
from simulator.mapping.form import Draft, MappingForm
from simulator.scenario.evaluate import estimate
from simulator.workload import Model, Sequences, Shard, from_huggingface, kv_bytes, load_model

BATCH, INPUT, OUTPUT = 2, 4096, 8
FAST = [f"links.{pair}={{bandwidth: 1e9 TB/s, latency: 0 s}}" for pair in ("gpu<->gpu", "node<->node")]
NETWORK = ["links.node<->node={bandwidth: 400 GB/s, latency: 5 us}"]
WINDOW = 256
SHAPES = json.loads((Path(__file__).parents[2] / "workload" / "model" / "shapes.json").read_text(encoding="utf-8"))


@cache
def model(name: str = "llama-3.1-8b") -> Model:
    return load_model(name, ["layers=2"])


@cache
def system(nodes: int = 1, gpus: int = 8, fast: bool = False) -> System:
    return load_system("dgx-h100", [f"nodes={nodes}", f"devices.gpu.count={gpus}", *(FAST if fast else NETWORK)])


@cache
def windowed() -> Model:
    return load_model("llama-3.1-8b", ["layers=2", f"attention.window={WINDOW}"])


def deployed(context: int, tensor: int = 1, of: Model | None = None, fast: bool = False, **mapping: Any) -> Deployment:
    mapping = {"runtime": "ideal", "devices": context * tensor, "context": context, "tensor": tensor} | mapping
    return resolve(MappingForm(**mapping), system(fast=fast), of or model())


def prompts(at: Deployment, input: int = INPUT) -> Any:
    return at.passes(BATCH, input, OUTPUT).first


def step(at: Deployment) -> Any:
    return at.passes(BATCH, INPUT, OUTPUT).step(float(INPUT))


def sent(plan: Any, link: str = "gpu->gpu", name: str | None = None) -> float:
    """Bytes that one device puts on a link."""
    return sum(
        times * float(units)
        for activity, times in plan.activities()
        for resource, units in activity.demand.items()
        if resource.name == link and name in (None, activity.name)
    )


def seconds(plan: Any) -> float:
    return float(closed_form(plan).time)


def rows(ways: int, device: int, chunk: int) -> list[int]:
    """The tokens of a prompt that a device has: a chunk from either end."""
    return [first + at for first in (device * chunk, (2 * ways - 1 - device) * chunk) for at in range(chunk)]


@given(ways=st.integers(2, 5), chunk=st.integers(1, 6), past=st.integers(0, 9))
def test_each_device_sees_an_equal_part_of_all_pairs(ways: int, chunk: int, past: int) -> None:
    whole = Sequences(1, 2 * ways * chunk, past * ways)
    shard = Shard(whole, ways)
    seen = [sum(past * ways + row + 1 for row in rows(ways, device, chunk)) for device in range(ways)]
    assert seen == [pytest.approx(shard.pairs() * shard.rounds)] * ways
    assert sum(seen) == pytest.approx(whole.pairs())
    assert shard.tokens * ways == whole.tokens
    assert shard.keys() * ways == whole.keys() == pytest.approx(shard.passed(None) * ways)


@given(ways=st.integers(2, 5), chunk=st.integers(1, 6), window=st.integers(1, 30))
def test_in_a_window_the_device_in_the_middle_sees_most(ways: int, chunk: int, window: int) -> None:
    shard = Shard(Sequences(1, 2 * ways * chunk), ways)
    seen, come = [], []
    for device in range(ways):
        own = rows(ways, device, chunk)
        keys = {key for row in own for key in range(max(row - window + 1, 0), row + 1)}
        seen.append(sum(min(row + 1, window) for row in own))
        come.append(len(keys - {*own}))
    assert shard.pairs(window) == max(seen)
    assert shard.passed(window) >= max(come)
    if window - 1 <= chunk and ways > 2:
        assert shard.passed(window) == max(come)


@given(new=st.integers(2, 100), ways=st.integers(1, 6))
def test_a_prompt_is_padded_to_equal_chunks(new: int, ways: int) -> None:
    tokens = float(np.max(Shard(Sequences(1, new), ways).tokens))
    assert tokens % 2 == 0
    assert 0 <= tokens * ways - new < 2 * ways


def test_one_group_is_none() -> None:
    alone, plain = deployed(1, 8), resolve(MappingForm(runtime="ideal"), system(), model())
    for of in (prompts, step):
        told = [sorted((r.name, float(units)) for r, units in of(each).demand().items()) for each in (alone, plain)]
        assert told[0] == told[1]
        assert seconds(of(alone)) == seconds(of(plain))


@pytest.mark.parametrize("name", ["llama-3.1-8b", "deepseek-v2-lite"])
@pytest.mark.parametrize("context", [2, 4, 8])
def test_groups_attend_and_cache_together_what_one_does(name: str, context: int) -> None:
    """Of a prompt all work is divided but expansions of a latent; of a decode, what attention reads and multiplies."""

    def attention(plan: Any, resource: str) -> float:
        return sum(
            times * float(units)
            for activity, times in plan.activities()
            for each, units in activity.demand.items()
            if each.name == resource and activity.name.startswith("attention.scores")
        )

    one, groups = deployed(1, of=model(name)), deployed(context, of=model(name))
    for of in (prompts, step):
        alone, share = of(one), of(groups)
        assert attention(share, "gpu.gpu") * context == pytest.approx(attention(alone, "gpu.gpu"))
    read = attention(step(groups), "gpu.hbm") - attention(step(one), "gpu.hbm") / context
    queries = BATCH * model(name).hidden * 2 * model(name).layers * 4  # and outputs: of all sequences on each device
    assert 0 <= read < 4 * queries
    held = groups.footprint(BATCH, INPUT, 0).total
    assert held.kv == pytest.approx(kv_bytes(model(name), INPUT) * BATCH)
    assert held.weights == context * one.footprint(BATCH, INPUT, 0).total.weights


def test_a_prompt_is_computed_once_by_all_together() -> None:
    """Products divide exactly; only the head, of the last tokens, is each device's, and sums of outputs are added."""
    one, groups = (prompts(deployed(ways)).demand() for ways in (1, 4))
    flops = [next(float(units) for r, units in each.items() if r.name == "gpu.gpu") for each in (one, groups)]
    head = 2.0 * BATCH * model().hidden * model().vocab / 989.4e12
    assert flops[1] * 4 == pytest.approx(flops[0] + 3 * head, rel=1e-3)


@pytest.mark.parametrize(("context", "tensor"), [(2, 1), (4, 2), (8, 1)])
def test_bytes_round_the_ring_are_those_of_all_other_keys_and_values(context: int, tensor: int) -> None:
    whole = kv_bytes(model(), INPUT) * BATCH / tensor
    plan = prompts(deployed(context, tensor))
    assert sent(plan, name="ring") == pytest.approx((context - 1) * whole / context)
    assert sent(step(deployed(context, tensor)), name="ring") == 0.0


def test_a_window_passes_its_keys_before_two_chunks_alone() -> None:
    of = windowed()
    a_token = kv_bytes(of, WINDOW) / WINDOW
    plan = prompts(deployed(4, of=of))
    assert sent(plan, name="ring") == pytest.approx(BATCH * 2 * (WINDOW - 1) * a_token)
    assert not any(activity.name == "attention.merge" for activity, _ in plan.activities())


@pytest.mark.parametrize(("context", "tensor"), [(2, 1), (4, 2), (8, 1)])
def test_a_decode_adds_up_partial_outputs(context: int, tensor: int) -> None:
    """An all-gather of a log-sum-exp a head in fp32, and an all-reduce of the outputs."""
    plan, a = step(deployed(context, tensor)), model().attention
    assert a
    tokens = BATCH * model().layers * a.heads / tensor
    assert sent(plan, name="all_gather") == pytest.approx((context - 1) * tokens * 4)
    reduced = 2 * (context - 1) / context * tokens * a.head_dim * 2
    of_tensor = sent(step(deployed(1, tensor)), name="all_reduce")
    assert sent(plan, name="all_reduce") == pytest.approx(reduced + of_tensor)


@pytest.mark.parametrize("input", [64, 1000, 4096, 100_000])
@pytest.mark.parametrize("of", ["llama-3.1-8b", "deepseek-v2-lite"])
def test_no_number_of_groups_is_faster_than_its_share_of_the_work(input: int, of: str) -> None:
    alone = seconds(prompts(deployed(1, of=model(of)), input))
    for ways in (2, 4, 8):
        assert seconds(prompts(deployed(ways, of=model(of), fast=True), input)) >= alone / ways


@pytest.mark.parametrize("of", ["llama-3.1-8b", "deepseek-v2-lite", "window"])
def test_over_links_that_take_no_time_more_groups_are_never_slower(of: str) -> None:
    each = windowed() if of == "window" else model(of)
    times = [seconds(prompts(deployed(ways, of=each, fast=True), 32_768)) for ways in (1, 2, 4, 8)]
    assert times == sorted(times, reverse=True)


def test_over_slow_links_the_ring_binds() -> None:
    slow = load_system("dgx-h100", ["links.gpu<->gpu={bandwidth: 0.1 GB/s, latency: 0 s}"])
    at = resolve(MappingForm(runtime="ideal", context=8, tensor=1), slow, model())
    plan = prompts(at)
    hops = sent(plan, name="ring") / 0.1e9
    assert hops < seconds(plan) < hops + seconds(prompts(deployed(1)))


@pytest.mark.parametrize("name", ["llama-3.1-8b", "deepseek-v2-lite"])
@pytest.mark.parametrize("fusion", [None, "unfused"])
def test_closed_form_and_events_agree(name: str, fusion: str | None) -> None:
    at = deployed(4, 2, of=model(name), fusion=fusion)
    for plan in (prompts(at), step(at)):
        assert closed_form(plan).exact
        assert events(plan).time == pytest.approx(seconds(plan), rel=1e-9)


def test_between_nodes_one_group_of_each_sends_and_all_wait_for_it() -> None:
    """Two nodes of 4 in groups of 2: half of the groups send over the link of their node, two devices at once."""
    at = resolve(MappingForm(runtime="ideal", context=4, tensor=2), system(2, 4), model())
    shard = kv_bytes(model(), INPUT) * BATCH / 8
    plan = prompts(at)
    assert sent(plan, "node->node", "ring") == pytest.approx(3 * shard * 2 / 2)
    assert sent(plan, "gpu->gpu", "ring") == pytest.approx(3 * shard / 2)
    hop = next(activity for activity, _ in plan.activities() if activity.name == "ring")
    assert hop.alone == pytest.approx(shard / model().layers * 2 / 400e9)
    whole = prompts(resolve(MappingForm(runtime="ideal", context=2, tensor=4), system(2, 4), model()))
    assert sent(whole, "gpu->gpu", "ring") == 0.0
    assert sent(whole, "node->node", "ring") == pytest.approx(kv_bytes(model(), INPUT) * BATCH / 2)


def test_stages_and_replicas_are_of_groups() -> None:
    at = deployed(2, devices=8, tensor=2, pipeline=2)
    assert at.parallel.devices == 8
    alone = deployed(1, devices=4, tensor=2, pipeline=2)
    assert sent(prompts(at), name="send") == pytest.approx(sent(prompts(alone), name="send") / 2)
    held, single = (each.footprint(BATCH, INPUT, OUTPUT).total for each in (at, alone))
    assert held.weights == 2 * single.weights
    assert held.kv == pytest.approx(single.kv, rel=1e-3)


def test_energy_is_that_of_all_groups() -> None:
    asked: dict[str, Any] = {"model": {"extends": "llama-3.1-8b", "layers": 2}, "input": 100_000, "output": 2}
    each = [estimate(hardware="dgx-h100", devices=n, tensor=1, context=n, batch=1, **asked) for n in (1, 4)]
    dynamic = [{term.name: term.joules for term in at.energy} for at in each]
    assert dynamic[1]["gpu.gpu"] == pytest.approx(dynamic[0]["gpu.gpu"], rel=0.02)


def test_a_step_is_affine_in_the_context_and_lengths_may_be_many() -> None:
    at = deployed(4)
    times = closed_form(at.passes(BATCH, INPUT, OUTPUT).step(np.array([1000.0, 2000.0, 3000.0]))).time
    assert isinstance(times, np.ndarray)
    assert times[1] - times[0] == pytest.approx(times[2] - times[1])
    many = at.passes(BATCH, np.array([100.0, 4096.0]), OUTPUT).first
    assert closed_form(many).time[1] == pytest.approx(seconds(prompts(at)))  # type: ignore[index]


def test_a_draft_is_shared_as_the_model_is() -> None:
    draft = Draft(model="llama-3-8b", acceptance=0.0)
    assert seconds(step(deployed(2, draft=draft))) > seconds(step(deployed(2)))


def test_a_window_is_spread_over_the_groups_as_all_keys_are() -> None:
    """Every other layer of gpt-oss keeps 128 tokens of a sequence, of which each group has a part."""
    of = from_huggingface(SHAPES["gpt-oss-20b"], "gpt-oss-20b")
    held = deployed(4, of=of).footprint(BATCH, 8192, 0).total
    assert held.kv == pytest.approx(BATCH * kv_bytes(of, 8192.0))


def test_a_chunk_is_passed_as_a_window_is() -> None:
    of = from_huggingface(SHAPES["Llama-4-Scout-17B-16E-Instruct"], "scout")
    chunk, whole, tokens = 8192, 262_144, 4
    at = resolve(MappingForm(runtime="ideal", devices=4, tensor=1, context=tokens), system(), of)
    a_layer = kv_bytes(of, 1.0) / of.layers
    passed = 36 * 2 * (chunk - 1) + 12 * 3 / 4 * whole
    assert sent(at.passes(1, whole, 2).first, name="ring") == pytest.approx(passed * a_layer)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("Qwen3.5-35B-A3B", "passes a state from token to token, one device after another"),
        ("DeepSeek-V3.2", "chooses keys among all of a sequence"),
    ],
)
def test_a_mixer_whose_tokens_wait_for_one_another_is_refused(shape: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"context: found 2, expected 1: .*{message}"):
        deployed(2, of=from_huggingface(SHAPES[shape], shape))


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"runtime": "vllm"}, r"context: found 2 under vllm, expected 1, or a runtime that has it: .*vllm-v1"),
        ({"placement": "auto"}, "context: found 2 with placement"),
        ({"experts": "whole", "of": "mixtral-8x7b"}, "context: found 2 with the experts of mixtral-8x7b shared"),
        ({"devices": 3}, "context: found context 2, expected ways whose product is the number of devices, 3"),
    ],
)
def test_what_is_not_built_is_refused_by_name(mapping: dict[str, Any], message: str) -> None:
    of = model(mapping.pop("of", "llama-3.1-8b"))
    with pytest.raises(ConfigError, match=message):
        deployed(2, of=of, **mapping)


def test_an_engine_that_runs_layers_as_a_whole_is_told_what_can() -> None:
    with pytest.raises(ConfigError, match=r"of kind dataflow.*an engine that runs kernel by kernel"):
        resolve(MappingForm(context=2), load_system("sn40l-node"), model())


PUBLISHED = Path(__file__).with_name("context.csv")


@pytest.mark.parametrize("row", list(csv.DictReader(PUBLISHED.open(encoding="utf-8"))), ids=lambda row: row["input"])
def test_published_prompts_on_many_nodes(row: dict[str, str]) -> None:
    """Nothing is fitted to them: kernels are those of `gpu-libraries`, 400 Gbit/s a GPU is an assumption."""
    nodes = int(row["nodes"])
    got = estimate(
        hardware="dgx-h100", model={"extends": row["model"], "max_context": 1 << 20}, batch=1, input=int(row["input"]),
        output=1, phase="prefill", context=nodes, tensor=8, dtype="fp8", runtime="gpu-libraries", kernels="modelled",
        overrides=[f"nodes={nodes}", *NETWORK],
    )  # fmt: skip
    assert 0.6 < got.ttft_s / float(row["seconds"]) < 1.1
