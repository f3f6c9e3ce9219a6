"""`tiersim measure` and `tiersim fit-machine`, with measurements that take no time."""

from __future__ import annotations

from pathlib import Path

import pytest

import simulator
from simulator.validation.fitted.check import Check
from simulator.validation.measure.run import Measured

TRUE = Check("products", 1.0, 1.1, 1.2, 0.1, "least")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What `measure` was asked for; it measures nothing."""
    known: list[tuple[object, ...]] = []

    def measure(what: str, rows: Path, progress: object, **options: object) -> Measured:
        known.append((what, rows, options))
        return Measured(rows, 3, 2, 1)

    monkeypatch.setattr(simulator, "measure", measure, raising=False)
    return known


def test_a_run_is_asked_for_and_told(run, asked: list[tuple[object, ...]]) -> None:
    told = run("measure", "cpu", "rows.csv", "--threads", 1, "--threads", 2, "--budget", 60)
    assert told.code == 0, told.err
    assert told.out == "rows.csv: 3 measured, 2 had been, 1 left; the same command goes on\n"
    run("measure", "disk", "rows.csv", "--size", "4 GiB")
    run("measure", "gpu", "rows.csv", "--dtype", "fp16")
    assert [(what, rows) for what, rows, _ in asked] == [(kind, Path("rows.csv")) for kind in ("cpu", "disk", "gpu")]
    assert asked[0][2] == {"threads": [1, 2], "dtypes": (), "budget": 60.0}
    assert asked[1][2]["size"] == 4 * 2**30  # type: ignore[index]
    assert asked[2][2]["dtypes"] == ["fp16"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("measure", "disk", "rows.csv", "--size", "4 GHz"), "--size: found '4 GHz', expected a size"),
        (("measure", "disk", "rows.csv"), "what to read: found neither"),
        (("measure", "cpu", "none/rows.csv"), "none/rows.csv: no such folder"),
        (("fit-machine", "none.csv", "-o", "x.yaml"), "none.csv: cannot be read: No such file"),
        (("measure", "check", "nowhere"), "nowhere"),
    ],
)
def test_a_mistake_is_told(run, write, arguments: tuple[str, ...], message: str) -> None:
    write("here", "")
    told = run(*arguments)
    assert told.code == 2
    assert message in told.err
    assert {file.name for file in Path().iterdir()} == {"here"}


@pytest.mark.parametrize(("within", "code"), [("0.15", 0), ("0.05", 1)])
def test_a_check_tells_its_errors_and_fails_beyond_a_bound(run, monkeypatch, within: str, code: int) -> None:
    part = Check("of them", 1.0, 9.0, 9.0, 0.1, "least", part=True)
    monkeypatch.setattr(simulator, "check_machine", lambda machine, **options: [TRUE, part], raising=False)
    told = run("measure", "check", "host", "--within", within)
    assert told.code == code
    assert "-9.1%" in told.out
    told = run("measure", "check", "host", "--within", within, "--json")
    assert told.code == code
    assert '"error": -0.09' in told.out
