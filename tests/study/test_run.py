"""Points of a slow kind that differ only in what it batches are evaluated in one call, and others alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.scenario import evaluator as of_scenarios
from simulator.study.load import load_study
from simulator.study.run import computed

STUDY = """\
base:
  hardware: dgx-h100
  model: llama-3-8b
  workload: {kind: requests, loop: open, requests: 20, input: 64, output: 8}
axes:
  mapping.dtype: {values: [bf16, fp8]}
  workload.rate: {values: [1, 2, 4]}
"""


def test_rates_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    (asked,) = load_study(tmp_path / "study.yaml").runs.values()
    calls: list[int] = []
    metrics = of_scenarios._metrics

    def counted(kind: Any, scenario: Any, columns: Any, cases: int, *others: Any) -> Any:
        calls.append(cases)
        return metrics(kind, scenario, columns, cases, *others)

    monkeypatch.setattr(of_scenarios, "_metrics", counted)
    together = computed(asked, np.arange(asked.points), lambda more: None)
    assert calls == [3, 3]
    assert not together["error"].any()
    alone = computed(asked, np.array([4]), lambda more: None)
    assert alone["ttft_p50_s"].item() == pytest.approx(together["ttft_p50_s"][4], rel=1e-9)
