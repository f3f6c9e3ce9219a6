from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simulator
from simulator.workload.neurons.trace import NeuronTrace, recorded


@pytest.fixture
def one_layer(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """A recorder that needs no model, and what it was asked."""
    asked: list[tuple[object, ...]] = []

    def record(*arguments: object) -> NeuronTrace:
        asked.append(arguments)
        return recorded([[[1, 2], [], [7]]], 10)

    monkeypatch.setattr("simulator.workload.neurons.record.record_model", record)
    return asked


def test_what_was_recorded_is_written_and_told(run, tmp_path: Path, one_layer) -> None:
    text, file = tmp_path / "text.txt", tmp_path / "trace.npz"
    text.write_text("Grüße", encoding="utf-8")
    told = run("record", "a-model", text, "--output", file, "--tokens", 3, "--threshold", 0.5)
    assert told.code == 0, told.err
    assert one_layer == [("a-model", "Grüße", 3, 0.5)]
    assert "3 tokens, 1 layers of 10 neurons, 10.00% active" in told.out.replace("\n", "")
    found = [active.tolist() for active in simulator.load_neurons(file).layer(0)]
    assert found == [[1, 2], [], [7]]


def test_a_text_that_is_none_is_told(run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_bytes(np.array([255, 254, 1], dtype=np.uint8).tobytes())
    for text, said in ((bad, "it is not UTF-8 text"), (tmp_path / "none.txt", "No such file")):
        told = run("record", "a-model", text, "--output", tmp_path / "x.npz")
        assert told.code == 2
        assert said in told.err
