"""What is kept is what would be computed, to the bit, and only as long as nothing that it is made from changes."""

from __future__ import annotations

import math
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from simulator.files import forget
from simulator.scenario import kept as kept_module
from simulator.scenario.evaluator import evaluated, evaluator
from simulator.scenario.form import Scenario
from simulator.scenario.kept import Kept, sources

BATCH = {
    "hardware": "dgx-h100",
    "model": "llama-3.1-8b",
    "mapping": {"dtype": "bf16"},
    "workload": {"kind": "batch", "phase": "decode", "batch": 2, "input": 64, "output": 8},
}
ZIPF = {"kind": "zipf", "experts": 6, "top_k": 2, "exponent": 1.0}
SKEW = {"workload": {"kind": "routing", "router": ZIPF, "tokens": 8, "draws": 4}}
COLUMNS = {"workload.batch": np.array([1.0, 4.0, 64.0]), "mapping.devices": np.array([1.0, 8.0, 1000.0])}


def counted(kept: Kept, question: object, answer: object = 1.0) -> int:
    """How often a question is computed."""
    calls = []
    found = kept.metrics(question, lambda: calls.append(1) or {"a": answer})
    assert found["a"] == answer
    return len(calls)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept.of(tmp_path, {"hardware": {"h100": {"peak": 1.0}}})


def test_a_question_is_computed_once(kept: Kept, tmp_path: Path) -> None:
    assert counted(kept, {"batch": 1}) == 1
    assert counted(Kept.of(tmp_path, {"hardware": {"h100": {"peak": 1.0}}}), {"batch": 1}) == 0
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_what_a_question_is_made_of_counts(kept: Kept, tmp_path: Path) -> None:
    question = {"workload": {"batch": 1, "input": 2.5}, "columns": {"rate": np.array([1.0, 2.0])}, "wanted": ["ttft_s"]}
    assert counted(kept, question) == 1
    others = [
        {**question, "workload": {"batch": 2, "input": 2.5}},
        {**question, "workload": {"batch": 1, "input": 2.5000000000000004}},
        {**question, "workload": {"batch": "1", "input": 2.5}},
        {**question, "columns": {"rate": np.array([1.0, np.nextafter(2.0, 3.0)])}},
        {**question, "columns": {"process": np.array(["even", "poisson"], dtype=object)}},
        {**question, "wanted": ["ttft_s", "e2e_s"]},
    ]
    assert [counted(kept, other) for other in others] == [1] * len(others)
    assert counted(Kept.of(tmp_path, {"hardware": {"h100": {"peak": 2.0}}}), question) == 1  # another machine
    assert counted(kept, question) == 0


def test_a_file_that_a_question_names_counts(kept: Kept, tmp_path: Path) -> None:
    machine = tmp_path / "machine.yaml"
    machine.write_text("a: 1\n")
    question = {"hardware": {"extends": str(machine)}, "cases": np.array([str(machine)], dtype=object)}
    assert [counted(kept, question) for _ in range(2)] == [1, 0]
    machine.write_text("a: 2\n")
    assert [counted(kept, question) for _ in range(2)] == [1, 0]


def test_other_sources_miss_and_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for turn in range(kept_module.SOURCES + 2):
        monkeypatch.setattr(kept_module, "sources", lambda turn=turn: f"sources-{turn}")
        assert counted(Kept.of(tmp_path, {}), "question") == 1
    assert len([each for each in tmp_path.iterdir() if each.is_dir()]) == kept_module.SOURCES
    assert counted(Kept.of(tmp_path, {}), "question") == 0


def test_sources_are_those_below_study_and_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "simulator"
    for name in ("units.py", "core/plan.py", "scenario/kept.py", "study/run.py", "report/page.py", "cli/app.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("1\n")
    (tmp_path / "hwconfigs").mkdir()
    (tmp_path / "hwconfigs" / "h100.yaml").write_text("1\n")
    monkeypatch.setattr(kept_module, "__file__", str(package / "scenario" / "kept.py"))
    monkeypatch.setattr(kept_module.data, "folder", lambda name: tmp_path / name)

    def hashed(*rooms: str) -> str:
        forget()
        return sources(*rooms)

    before, with_study = hashed(), hashed("study")
    for name in ("study/run.py", "report/page.py", "cli/app.py"):
        (package / name).write_text("2\n")
    assert hashed() == before and hashed("study") != with_study
    seen = {before}
    for file in ("units.py", "core/plan.py", "scenario/kept.py", "../hwconfigs/h100.yaml"):
        (package / file).write_text("2\n")
        assert hashed() not in seen
        seen.add(hashed())
    monkeypatch.setattr(kept_module, "version", lambda name: "0.0")
    assert hashed() not in seen


@pytest.mark.parametrize("damage", [b"", b"12\n{}", b"\xff\xfe", b"no seal", b'0\n{"a": 1.0}\nmore'])
def test_a_damaged_file_is_computed_and_written_anew(kept: Kept, damage: bytes) -> None:
    assert counted(kept, "question") == 1
    (file,) = kept.folder.glob("*.json")
    whole = file.read_bytes()
    for broken in (damage, whole[:-1], whole.replace(b"1.0", b"1.5")):
        file.write_bytes(broken)
        assert [counted(kept, "question") for _ in range(2)] == [1, 0]
        assert file.read_bytes() == whole


def write_often(kept: Kept) -> list[float]:
    answer = {"a": [0.1] * 1000}
    return [kept.metrics(f"question {turn % 4}", lambda: answer)["a"][0] for turn in range(64)]


def test_two_processes_may_write_at_once(kept: Kept) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(write_often, [kept, kept])
    assert found == [[0.1] * 64] * 2
    assert len(list(kept.folder.iterdir())) == 4


def test_a_folder_that_cannot_be_written_to_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Kept.of(tmp_path / "file", {})
    assert [counted(kept, "question") for _ in range(2)] == [1, 1]


@pytest.mark.parametrize(
    "value", [0.1, 1 / 3, math.pi * 1e-300, 5e-324, -0.0, 7, np.float64(0.1), np.array([0.1, np.nan, 1e308, -0.0])]
)
def test_numbers_come_back_to_the_bit(kept: Kept, value: float) -> None:
    first, again = (np.asarray(kept.metrics("question", lambda: {"a": value})["a"]) for _ in range(2))
    assert (first.dtype, first.tobytes()) == (again.dtype, again.tobytes())


@pytest.mark.parametrize(
    ("scenario", "columns"), [(BATCH, COLUMNS), (SKEW, {"workload.tokens": np.array([8.0, 16.0, -1.0])})]
)
def test_a_table_is_the_same_kept_or_not(
    scenario: dict[str, object], columns: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Scenario.model_validate(scenario)
    plain = evaluated(base, columns)
    for known in (False, True):
        if known:  # of what is right, nothing is computed again
            monkeypatch.setattr(evaluator(base), "evaluate", None)
        cases = {path: column if not known or base.model else column[:2] for path, column in columns.items()}
        found = evaluated(base, cases, kept=Kept.of(tmp_path, {}))
        assert list(found) == list(plain)
        for name, column in plain.items():
            assert found[name].dtype == column.dtype
            assert np.array_equal(found[name], column[: len(found[name])], equal_nan=column.dtype != object)
    assert plain["error"][2] and not plain["error"][0]
