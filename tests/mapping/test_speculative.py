from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.errors import CapacityError, ConfigError
from simulator.hardware import load_system
from simulator.mapping.lowering import model_plan
from simulator.mapping.passes import Lowering
from simulator.mapping.speculative import expected_length, step_plan
from simulator.mapping.target import target
from simulator.scenario.batch_detail import BatchDetail
from simulator.scenario.evaluate import estimate
from simulator.serving.generation import generated
from simulator.workload import Sequences, decode, load_model, operator_graph
from simulator.workload.model.parameters import parameters, predicting_parameters
from simulator.workload.model.predictor import predictor

DRAFT = {"model": "llama-3-8b", "tokens": 4, "acceptance": 0.8}


def of(**changes: object) -> BatchDetail:
    asked: dict[str, object] = {
        "hardware": "dgx-a100", "model": "llama-3-70b", "batch": 1, "input": 500, "output": 100,
        "draft": {**DRAFT},
    }  # fmt: skip
    return estimate(**(asked | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("acceptance", "drafted"), [(0.0, 3), (0.6, 1), (0.8, 4), (0.95, 10), (1.0, 5)])
def test_the_expected_length_is_the_mean_of_draws(acceptance: float, drafted: int) -> None:
    rng = np.random.default_rng(7)
    accepted = rng.random((200_000, drafted)) < acceptance
    tokens = 1 + np.cumprod(accepted, axis=1).sum(axis=1)
    assert expected_length(acceptance, drafted) == pytest.approx(tokens.mean(), rel=5e-3)


@given(acceptance=st.floats(0, 1), drafted=st.integers(1, 16))
def test_the_expected_length_is_a_geometric_sum(acceptance: float, drafted: int) -> None:
    length = expected_length(acceptance, drafted)
    assert 1 <= length <= drafted + 1
    if acceptance < 1:
        closed = (1 - acceptance ** (drafted + 1)) / (1 - acceptance)
        assert length == pytest.approx(closed, rel=1e-6)


def test_a_step_is_its_drafts_and_one_pass_over_them_all() -> None:
    runner, model, draft = target(load_system("dgx-a100")), load_model("llama-3-70b"), load_model("llama-3-8b")
    step = float(closed_form(step_plan(Lowering((runner,)), model, draft, 4, 2, 1000.0)).time)
    drafts = sum(float(closed_form(model_plan(runner, draft, decode(2, 1000 + i))).time) for i in range(4))
    verify = float(closed_form(model_plan(runner, model, (Sequences(2, 5, 1000, scored=True),))).time)
    assert step == pytest.approx(drafts + verify, rel=1e-6)
    one = float(closed_form(model_plan(runner, model, decode(2, 1000))).time)
    assert one <= verify < 1.5 * one  # the weights are read once


def test_drafted_tokens_all_get_logits_and_read_the_cache_once() -> None:
    model = load_model("llama-3-70b")
    drafted, plain = (
        {o.name: o for b in operator_graph(model, batch).blocks for o in b.operators}
        for batch in ((Sequences(3, 5, 700, scored=True),), decode(3, 704))
    )
    assert drafted.keys() == plain.keys()
    assert drafted["lm_head"].flops == pytest.approx(5 * plain["lm_head"].flops)
    for name, operator in plain.items():
        assert drafted[name].bytes.get("kv_read") == operator.bytes.get("kv_read")


def test_better_drafts_are_faster_and_useless_ones_slower_than_none() -> None:
    plain = of(draft=None)
    rates = [of(draft={**DRAFT, "acceptance": rate}).tbt_s for rate in (0.0, 0.5, 0.8, 1.0)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > plain.tbt_s > rates[-1]
    surely = of(draft={**DRAFT, "acceptance": 1.0})
    assert surely.tbt_s > plain.tbt_s / 5  # five tokens a step, each step longer
    assert surely.e2e_s < plain.e2e_s
    assert of().ttft_s > plain.ttft_s


def test_steps_and_tokens_add_up() -> None:
    got = of()
    run = generated(got.deployment.passes(1, 500, 100), 500, 100)
    length = expected_length(0.8, 4)
    assert len(run.step_times) == int(np.ceil(99 / length))
    assert got.e2e_s == pytest.approx(run.seconds)
    assert got.e2e_s == pytest.approx(got.ttft_s + 99 * got.tbt_s, rel=0.03)
    assert got.tokens_per_s == pytest.approx(100 / got.e2e_s)


def test_both_models_take_room() -> None:
    got, plain = of(), of(draft=None)
    alone = of(model="llama-3-8b", draft=None)
    assert got.footprint.total.weights == pytest.approx(plain.footprint.total.weights + alone.footprint.total.weights)
    assert got.footprint.total.kv == pytest.approx(plain.footprint.total.kv + alone.footprint.total.kv)
    assert got.max_batch < plain.max_batch
    of(devices=2, batch=1, input=100, output=2, draft=None)
    with pytest.raises(CapacityError, match=r"llama-3-70b and llama-3-8b .*fits with 4 of gpu"):
        of(devices=2, batch=1, input=100, output=2)


def test_the_document_says_how_tokens_are_drafted() -> None:
    got = of().as_json()["speculation"]
    assert got == {
        "draft": "llama-3-8b", "drafted": 4, "acceptance": 0.8,
        "accepted_length": pytest.approx((1 - 0.8**5) / (1 - 0.8)),
    }  # fmt: skip
    assert of(draft=None).as_json()["speculation"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acceptance": None}, "found neither, expected an acceptance or an accepted length"),
        ({"accepted_length": 2.0}, "found both"),
        ({"model": None}, r"draft\.model: missing key"),
        ({"kind": "mtp"}, r"draft\.model: found 'llama-3-8b', expected none with kind: mtp"),
        ({"kind": "mtp", "model": None}, r"draft\.kind: found 'mtp', .* which llama-3-70b has not"),
        ({"kind": "eagle"}, "draft"),
        ({"acceptance": 1.5}, r"draft\.acceptance: found 1\.5, expected at most 1"),
        ({"acceptance": None, "accepted_length": 6.0}, "accepted_length: found 6.0, expected 1 to 5"),
        ({"tokens": 0}, r"draft\.tokens: found 0, expected at least 1"),
        ({"model": "llama-2-7b"}, "draft: a draft with another vocabulary: found 32,000"),
        ({"model": "llama-3-8"}, "did you mean 'llama-3-8b'"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(change: dict[str, object], message: str) -> None:
    draft = {key: value for key, value in {**DRAFT, **change}.items() if value is not None}
    with pytest.raises(ConfigError, match=message):
        of(draft=draft)


def test_stages_have_no_draft() -> None:
    with pytest.raises(ConfigError, match="draft: found one with pipeline 2, expected no stages"):
        of(pipeline=2)


def test_a_look_up_takes_the_pass_that_checks_and_no_room() -> None:
    looked_up = of(draft={"kind": "ngram", "tokens": 4, "acceptance": 0.0})
    runner, model = target(load_system("dgx-a100")), load_model("llama-3-70b")
    plan = looked_up.deployment.passes(1, 500, 100).step(1000.0)
    verify = model_plan(runner, model, (Sequences(1, 5, 1000, scored=True),))
    ours, theirs = ({r.name: float(units) for r, units in each.demand().items()} for each in (plan, verify))
    assert ours["gpu.hbm"] == pytest.approx(theirs["gpu.hbm"])
    assert ours["gpu.gpu"] == pytest.approx(theirs["gpu.gpu"])
    assert looked_up.footprint.total == of(draft=None).footprint.total
    assert looked_up.tbt_s > of(draft=None).tbt_s
    assert of(draft={"kind": "ngram", "tokens": 4, "acceptance": 0.9}).tbt_s < of(draft=None).tbt_s


def test_a_predictor_has_the_parameters_of_the_module_that_was_published() -> None:
    model = load_model("deepseek-v3")
    module = predictor(model)
    assert parameters(module).total == predicting_parameters(model)
    # "11.5B unique parameters, excluding the shared 0.9B Embedding and 0.9B output Head" (README_WEIGHTS.md)
    assert parameters(module).total == pytest.approx(11.5e9, rel=0.01)
    names = {o.name: o for block in operator_graph(module, decode(1, 9)).blocks for o in block.operators}
    assert names["predict.proj"].flops == 2 * 2 * model.hidden**2
    assert names["lm_head"].flops == 2 * model.vocab * model.hidden


def test_a_predictor_drafts_at_its_cost_and_keeps_one_layer_more() -> None:
    asked = {"hardware": "dgx-h100", "overrides": ["devices.gpu.count=16"], "model": "deepseek-v3", "batch": 64,
             "data": 16, "experts": "whole", "output": 8}  # fmt: skip
    plain, refused, kept = (
        of(**asked, draft=draft)
        for draft in (None, *({"kind": "mtp", "tokens": 1, "acceptance": rate} for rate in (0.0, 0.875)))
    )
    assert refused.tbt_s > plain.tbt_s > kept.tbt_s
    assert kept.tbt_s == pytest.approx(refused.tbt_s / 1.875)
    layers = plain.model.layers
    assert refused.footprint.total.kv == pytest.approx(plain.footprint.total.kv * (layers + 1) / layers)
    step = refused.deployment.passes(64, 500, 8).step(1000.0)
    runner, model = refused.deployment.lowering, refused.model
    draft = runner.plan(predictor(model), decode(4, 1000))
    verify = runner.plan(model, (Sequences(4, 2, 1000, scored=True),))
    assert closed_form(step).time == pytest.approx(closed_form(draft).time + closed_form(verify).time)
