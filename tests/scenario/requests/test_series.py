"""A run by window of time adds up to the whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator import serve
from simulator.serving.record import series as module

ASKED: dict[str, Any] = {
    "hardware": "dgx-h100", "model": "llama-3.1-8b",
    "mapping": {"devices": 8, "scheduler": {"kind": "vllm-v1", "replicas": 2}, "kv_store": {"kind": "prefix"}},
}  # fmt: skip


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    arrivals = np.concatenate([[0.0], np.cumsum(random.exponential(0.05, 199))])
    rows = "".join(f"{i},{at},{700 + i},{5 + i % 40},p{i % 5},640\n" for i, at in enumerate(arrivals))
    file = tmp_path / "trace.csv"
    file.write_text(f"request_id,arrival_s,input_tokens,output_tokens,prefix_id,prefix_tokens\n{rows}")
    return file


@pytest.mark.parametrize("width", [True, 0.7, 0.05, 100.0])
def test_windows_add_up_to_the_run(trace: Path, width: Any) -> None:
    asked = ASKED | {"workload": {"kind": "requests", "trace": str(trace)}}
    made, alone = serve(asked, series=width), serve(asked)
    for name, value in alone.metrics.items():
        assert made.metrics[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-12)), name
    assert made.utilisation == pytest.approx(dict(alone.utilisation), rel=1e-9)
    frame, metrics = made.series, made.metrics
    assert frame is not None and alone.series is None
    total = frame.mul(frame["seconds"], axis=0).sum()
    span = frame["seconds"].sum()
    assert total["arrivals_per_s"] == pytest.approx(200) and total["requests_per_s"] == pytest.approx(200)
    assert total["tokens_per_s"] / span == pytest.approx(metrics["tokens_per_s"], rel=1e-9)
    assert total["busy"] / span == pytest.approx(metrics["busy"], rel=1e-9)
    tokens = metrics["tokens_per_s"] * span
    assert total["power_w"] == pytest.approx(metrics["energy_per_token_j"] * tokens, rel=1e-6)
    assert (frame["busy"] <= 1 + 1e-9).all() and frame["kv_held"].between(0, 1).all()


def test_windows_stay_few_however_long_it_takes(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 4)
    made = serve(ASKED | {"workload": {"kind": "requests", "trace": str(trace)}}, series=True)
    assert made.series is not None and len(made.series) <= 4
    assert made.series["seconds"].iloc[0] in (4.0, 8.0)
    assert (made.series["arrivals_per_s"] * made.series["seconds"]).sum() == pytest.approx(200)
