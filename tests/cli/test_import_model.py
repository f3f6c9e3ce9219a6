"""`tiersim import-model`: what it writes, and what it says of a mistake."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simulator
from simulator.workload import Model, load_model, parameters

Run = Callable[..., Any]


def test_it_writes_a_model_that_can_be_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def imported(config: dict[str, object], name: str) -> Model:
        assert config == {"model_type": "llama"}
        return load_model("llama-3-8b").model_copy(update={"name": name})

    monkeypatch.setattr(simulator, "import_model", imported, raising=False)
    config, written = tmp_path / "config.json", tmp_path / "mine.yaml"
    config.write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    assert run("import-model", tmp_path, "-o", written).code == 0
    assert parameters(load_model(written)) == parameters(load_model("llama-3-8b"))
    assert load_model(written).name == "mine"


def test_a_file_that_is_no_config_is_told(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text("{", encoding="utf-8")
    result = run("import-model", config, "-o", tmp_path / "m.yaml")
    assert result.code == 2 and "config.json:1" in result.err


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_without_the_extra_it_says_what_to_install(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    result = run("import-model", config, "-o", tmp_path / "m.yaml")
    assert result.code == 2 and "tiersim[import]" in result.err
