from __future__ import annotations

import pytest

import simulator
from simulator.errors import CapacityError, ConfigError
from simulator.serving.estimate import Estimate, estimate


def of(**changes: object) -> Estimate:
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
    assert of(devices=1, batch=got.max_batch).placement.used <= got.placement.capacity
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
    assert of(dtype="int8").model.dtypes.model_dump() == {
        "weights": "int8", "activations": "bf16", "kv": "bf16", "compute": "int8"
    }  # fmt: skip
    assert set(of(dtype="fp16").model.dtypes.model_dump().values()) == {"fp16"}


def test_more_devices_than_there_are_need_another_machine() -> None:
    with pytest.raises(ConfigError, match=r"expected at most 8; .*--set devices\.gpu\.count=9"):
        of(devices=9)
    assert of(overrides=["devices.gpu.count=32"], devices=16).target.ways == 16


def test_what_binds_is_named() -> None:
    assert of(batch=1, devices=1).bound_by == {"ttft": "gpu.gpu", "tbt": "gpu.hbm->gpu.gpu"}
    slow = of(overrides=["links.gpu<->gpu.latency=1 ms"])
    assert slow.bound_by["tbt"] == "latency"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 0}, "batch.*found 0, expected 1 or more"),
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
