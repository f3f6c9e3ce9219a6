from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator
from simulator import data
from simulator.errors import CapacityError, ConfigError, TiersimError
from simulator.scenario.batch_detail import BatchDetail
from simulator.scenario.evaluate import estimate
from simulator.workload.formats.named import FORMATS, KV, UNSAID

MODELS = ["llama-3-8b", "qwen3-30b-a3b", "opt-6.7b"]
WEIGHT_ONLY = sorted(
    name for name, format in FORMATS.items() if format.compute is None and format.block.bits < 16 and name not in UNSAID
)


def of(**changes: object) -> BatchDetail:
    asked: dict[str, object] = {"hardware": "dgx-a100", "model": "llama-3-8b", "batch": 4, "input": 500, "output": 40}
    return estimate(**(asked | changes))  # type: ignore[arg-type]


def test_the_parts_add_up() -> None:
    got = of()
    assert got.e2e_s == pytest.approx(got.ttft_s + 39 * got.tbt_s, rel=1e-4)  # a step is nearly linear in its context
    assert got.tokens_per_s == pytest.approx(4 * 40 / got.e2e_s)
    assert of(output=1).e2e_s == of(output=1).ttft_s == got.ttft_s


def test_longer_and_larger_takes_longer() -> None:
    base = of()
    for change in ({"input": 1000}, {"batch": 16}, {"output": 80}, {"devices": 4}, {"model": "llama-3-70b"}):
        assert of(**change).e2e_s > base.e2e_s
    assert of(input=1000).ttft_s > base.ttft_s
    assert of(dtype="int8").tbt_s < base.tbt_s


def test_the_largest_batch_and_context_fit_and_one_more_does_not() -> None:
    got = of(devices=1)
    assert of(devices=1, batch=got.max_batch).footprint.total.used <= got.footprint.total.capacity
    with pytest.raises(CapacityError, match=r"needs .* B\), there are .*fits with"):
        of(devices=1, batch=got.max_batch + 1)
    assert got.max_context == 8192  # what the model was made for
    assert of(model="llama-3-70b", devices=2, batch=16).max_context < 8192


def test_energy_is_power_times_time_at_least_and_null_where_a_figure_is_missing() -> None:
    got = of()
    assert got.missing == ()
    assert got.energy_j is not None
    static = (8 * 55 + 1500) * got.e2e_s
    assert static < got.energy_j < static + 8 * 400 * got.e2e_s
    unknown = of(hardware="sn40l-node")
    assert unknown.energy_j is None
    assert "devices.socket.tiers.hbm.energy" in unknown.missing


def test_overrides_reach_the_machine_and_the_model() -> None:
    base = of()
    assert of(overrides=["devices.gpu.tiers.hbm.bandwidth=4 TB/s"]).tbt_s < base.tbt_s
    assert of(overrides=["hardware.devices.gpu.tiers.hbm.bandwidth=4 TB/s"]).tbt_s < base.tbt_s
    assert of(overrides=["model.layers=16"]).tbt_s < base.tbt_s
    assert of(overrides=["model.layers=16"]).provenance.hash != base.provenance.hash


def test_a_loaded_model_takes_a_dtype_and_refuses_an_override() -> None:
    loaded = simulator.load_model("llama-3-8b")
    assert of(model=loaded, dtype="int8").tbt_s == of(dtype="int8").tbt_s < of(model=loaded).tbt_s
    with pytest.raises(ConfigError, match="too late"):
        of(model=loaded, overrides=["model.layers=16"])


def test_a_narrow_dtype_is_that_of_weights_and_their_products() -> None:
    formats = {"weights": "int8", "activations": "bf16", "kv": "bf16", "compute": "int8"}
    assert of(dtype="int8").as_json()["formats"] == formats
    assert set(of(dtype="fp16").as_json()["formats"].values()) == {"fp16"}
    assert of(dtype="w4a16", kv="fp8").as_json()["formats"] == {
        "weights": "w4a16", "activations": "bf16", "kv": "fp8", "compute": "bf16"
    }  # fmt: skip


@given(weights=st.sampled_from(WEIGHT_ONLY), model=st.sampled_from(MODELS), batch=st.integers(1, 8))
@settings(max_examples=10, deadline=None)
def test_a_weight_only_format_reads_less_and_computes_as_much(weights: str, model: str, batch: int) -> None:
    """The engine is as busy as in 16 bits, and its memory less."""
    asked: dict[str, object] = {"hardware": "dgx-h100", "model": model, "batch": batch, "input": 300, "output": 20}
    wide, narrow = of(**asked), of(**asked, dtype=weights)
    system = wide.engine.system
    for part in ("prefill", "decode"):
        before, after = (each.parts[part].plan.demand() for each in (wide, narrow))
        engine, port = system["gpu.gpu"], system["gpu.hbm->gpu.gpu"]
        engine_after, port_after = (next(r for r in after if r.name == each.name) for each in (engine, port))
        assert after[engine_after] == pytest.approx(before[engine])
        assert after[port_after] < before[port]
    assert narrow.footprint.total.weights < wide.footprint.total.weights
    assert narrow.footprint.total.kv == wide.footprint.total.kv
    assert narrow.tbt_s < wide.tbt_s
    assert narrow.ttft_s <= wide.ttft_s


@given(model=st.sampled_from(MODELS), batch=st.integers(1, 64), weights=st.sampled_from([None, "fp8", "awq"]))
@settings(max_examples=8, deadline=None)
def test_a_narrower_cache_takes_less_room_and_time_and_changes_no_weights(
    model: str, batch: int, weights: str | None
) -> None:
    asked: dict[str, object] = {"hardware": "dgx-h100", "model": model, "batch": batch, "dtype": weights}
    wide, eight, four = (of(**asked, kv=kv) for kv in ("bf16", "fp8", "int4"))
    assert (
        wide.footprint.total.kv
        == 2 * eight.footprint.total.kv
        > 2 * four.footprint.total.kv
        > wide.footprint.total.kv / 2
    )
    assert wide.footprint.total.weights == eight.footprint.total.weights == four.footprint.total.weights
    assert wide.tbt_s > eight.tbt_s > four.tbt_s
    assert wide.max_batch < eight.max_batch < four.max_batch


@given(
    hardware=st.sampled_from(["dgx-a100", "dgx-h100", "sn40l-node", "rtx4090-gen4", "duplex-h100", "m2-ultra"]),
    model=st.sampled_from(data.names("workloads/models")),
    dtype=st.sampled_from(sorted(FORMATS)),
    kv=st.sampled_from(sorted(KV)),
)
@settings(max_examples=25, deadline=None)
def test_every_model_in_every_format_is_estimated_or_refused(hardware: str, model: str, dtype: str, kv: str) -> None:
    asked: dict[str, object] = {"hardware": hardware, "model": model, "batch": 1, "input": 64, "output": 8}
    try:
        found = of(**asked, dtype=dtype, kv=kv)
    except TiersimError:
        return
    assert found.model.dtypes.weights == dtype
    assert 0 < found.tbt_s < found.e2e_s < 1e6


def test_more_devices_than_there_are_need_another_machine() -> None:
    with pytest.raises(ConfigError, match=r"expected at most 8; .*--set devices\.gpu\.count=9"):
        of(devices=9)
    assert of(overrides=["devices.gpu.count=32"], devices=16).engine.ways == 16


def test_what_binds_is_named() -> None:
    assert of(batch=1, devices=1).bound_by == {"ttft": "gpu.gpu", "tbt": "gpu.hbm->gpu.gpu"}
    slow = of(overrides=["links.gpu<->gpu.latency=1 ms"])
    assert slow.bound_by["tbt"] == "latency"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 0}, r"^workload\.batch: found 0, expected at least 1"),
        ({"output": 0}, "output"),
        ({"devices": 0}, "devices"),
        ({"input": 8192}, "8192 that llama-3-8b was made for"),
        ({"hardware": "dgx-a10"}, "did you mean 'dgx-a100'"),
        ({"model": "lama-3-8b"}, "did you mean 'llama-3-8b'"),
        ({"dtype": "bf17"}, "bf17"),
        ({"overrides": ["devices.gpu.teirs.hbm.bandwidth=1 TB/s"]}, "did you mean 'tiers'"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        of(**change)


def test_the_public_surface_has_the_names_that_it_promises() -> None:
    for name in simulator.__all__:
        assert callable(getattr(simulator, name))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        simulator.nothing  # noqa: B018
