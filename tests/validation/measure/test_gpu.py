"""A GPU through PyTorch: here a stand-in for it, whose kernels take as long as their shapes say."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from simulator.errors import ConfigError
from simulator.validation.measure.gpu import gpu_bench, points, timed


class Gpu:
    """Keeps the time of events in milliseconds, as PyTorch does."""

    def __init__(self) -> None:
        self.now = 0.0

    def event(self, enable_timing: bool) -> SimpleNamespace:
        assert enable_timing
        made = SimpleNamespace(at=0.0, synchronize=lambda: None)
        made.record = lambda: setattr(made, "at", self.now)
        made.elapsed_time = lambda end: end.at - made.at
        return made

    def torch(self, devices: int = 1) -> SimpleNamespace:
        def linear(x: tuple[int, ...], weights: tuple[int, ...]) -> None:
            self.now += 2 * x[0] * x[1] * weights[0] / 1e12 * 1e3

        cuda = SimpleNamespace(
            is_available=lambda: devices > 0, device_count=lambda: devices, set_device=lambda number: None,
            get_device_name=lambda number: "A GPU", Event=self.event, empty_cache=lambda: None,
        )  # fmt: skip
        return SimpleNamespace(
            __version__="9.9", version=SimpleNamespace(hip=None, cuda="99"), cuda=cuda, bfloat16="bf16",
            randn=lambda *shape, dtype, device: shape, nn=SimpleNamespace(functional=SimpleNamespace(linear=linear)),
        )  # fmt: skip


def test_a_product_takes_what_its_events_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", Gpu().torch())
    bench = gpu_bench()
    products = [point for point in bench.points if point.op == "gemm"][:4]
    for point in products:
        assert point.device == "A GPU"
        assert point.engine == "PyTorch 9.9, CUDA 99"
        assert bench.sample(point).value == pytest.approx(2 * point.m * point.n * point.k / 1e12)


def test_a_short_kernel_is_launched_often_enough() -> None:
    gpu, launches = Gpu(), [0]

    def call() -> None:
        launches[0] += 1
        gpu.now += 1e-3

    assert timed(gpu.torch(), call).value == pytest.approx(1e-6)
    assert launches[0] > 1000


def test_points_are_distinct_and_of_whole_shapes() -> None:
    made = points("A GPU", ("bf16", "fp16"), "x")
    assert len(set(made)) == len(made)
    needed = {"gemm": "mnk", "rms_norm": "mn", "copy": ("bytes",), "attention": ("batch", "heads", "seq_q", "seq_kv")}
    for point in made:
        assert all(getattr(point, name) for name in needed[point.op]), point


def test_what_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=r"measuring needs torch: expected pip install 'tiersim\[measure-gpu\]'"):
        gpu_bench()
    monkeypatch.setitem(sys.modules, "torch", Gpu().torch(devices=0))
    with pytest.raises(ConfigError, match="PyTorch sees no such GPU: found no GPU"):
        gpu_bench()
    monkeypatch.setitem(sys.modules, "torch", Gpu().torch())
    with pytest.raises(ConfigError, match="dtype: found 'fp8'"):
        gpu_bench(("fp8",))
