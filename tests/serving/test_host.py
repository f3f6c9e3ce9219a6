"""An iteration takes the longer of host and devices, or their sum, in a closed loop as in an open one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator import evaluate

SLOW = 0.5  # s, longer than any iteration here
LOOPS: dict[str, dict[str, Any]] = {
    "closed": {"loop": "closed", "batch": 4, "rounds": 2},
    "open": {"loop": "open", "requests": 20, "rate": 0.05, "process": "even"},
}


def served(runtime: str, loop: str) -> dict[str, Any]:
    model = {"extends": "llama-3-8b", "layers": 2}
    work = {"kind": "requests", "input": 100, "output": 6, **LOOPS[loop]}
    asked = {"hardware": "dgx-h100", "model": model, "mapping": {"runtime": runtime}, "workload": work}
    return dict(evaluate(asked).metrics)


def runtime(folder: Path, overlaps: bool) -> str:
    file = folder / f"overlaps-{overlaps}.yaml"
    host = f"{{step: {SLOW} s, sequence: 0 s}}"
    file.write_text(
        f"extends: gpu-libraries\noverlaps: {str(overlaps).lower()}\nby_device: {{h100: {{host: {host}}}}}\n"
    )
    return str(file)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_iteration_waits_for_its_host(loop: str, tmp_path: Path) -> None:
    bare = served("gpu-libraries", loop)
    beside, before = (served(runtime(tmp_path, overlaps), loop) for overlaps in (True, False))
    assert bare["tbt_p50_s"] < SLOW
    for name in ("tbt_p50_s", "ttft_p50_s"):
        assert beside[name] == pytest.approx(SLOW, rel=1e-9)
        assert before[name] == pytest.approx(SLOW + bare[name], rel=1e-9)


def test_a_runtime_bounds_the_requests_that_are_served_at_once() -> None:
    assert (served("llama.cpp", "open")["admitted"], served("vllm", "open")["admitted"]) == (1, 256)
