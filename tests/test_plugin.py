"""An outside package extends tiersim through the same door as tiersim itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import simulator
from simulator import registry
from simulator.core.residency import Lru, Residency, policy
from simulator.errors import ConfigError
from simulator.mapping.target import Target
from simulator.plugin import Activity, Plan, register
from simulator.workload import Block


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for kind in registry.HOMES:  # ours are registered once, and stay
        registry.names(kind)
    monkeypatch.setattr(registry, "_registered", {kind: dict(known) for kind, known in registry._registered.items()})
    yield


def test_an_engine_of_ones_own(tmp_path: Path) -> None:
    @register("lowering", "oracle")
    def one_millisecond(target: Target, block: Block) -> Plan:
        plan = Plan(block.name)
        plan.add(Activity("thought", latency=1e-3), repeat=block.repeat)
        return plan

    (tmp_path / "mine.yaml").write_text(
        "extends: dgx-a100\nname: mine\ndevices: {gpu: {engines: {gpu: {kind: oracle}}}}"
    )
    estimate = simulator.estimate(tmp_path / "mine.yaml", "llama-2-7b")
    assert estimate.tbt_s == pytest.approx(34e-3)  # 32 layers, the embedding and the head
    with pytest.raises(ConfigError, match="kind 'oracle', expected one that runs kernel by kernel"):
        simulator.kernels(tmp_path / "mine.yaml", "llama-2-7b")  # not those of another lowering


def test_a_residency_policy_of_ones_own() -> None:
    @register("residency", "mru")
    class Mru(Lru):
        def victims(self) -> list[object]:  # type: ignore[override]
            return list(super().victims())[::-1]

    cache = Residency(2, policy("mru", []))
    for key in "abc":
        cache.request(key, 1)
    assert list(cache) == ["a", "c"]
    assert "mru" in registry.names("residency")


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register("residency", "lru")(object)
