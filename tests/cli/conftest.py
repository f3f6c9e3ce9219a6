from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from typer.testing import CliRunner

from simulator.cli.app import app


class Told:
    """What the command said."""

    def __init__(self, result: Any) -> None:
        self.code: int = result.exit_code
        self.out: str = result.stdout
        self.err: str = result.stderr
        self.exception = result.exception

    @property
    def json(self) -> Any:
        """Stdout as one document, in which every number is finite."""
        assert self.code == 0, self.err

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Told]:
    """Runs the command in this process, on a terminal of 160 columns."""
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *arguments: Told(CliRunner().invoke(app, [str(argument) for argument in arguments]))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes a file into an empty folder, which becomes the present one."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        file = Path(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text), encoding="utf-8")
        return file

    return write


CHIP = """\
schema: 1
name: chip
devices:
  chip:
    count: 2
    tiers:
      hbm: {kind: hbm, capacity: 80 GiB, bandwidth: 2 TB/s}
    engines:
      core:
        kind: gpu
        peak: {bf16: 100 TFLOP/s}
        reads: {hbm: {}}
links:
  chip<->chip: {bandwidth: 100 GB/s}
"""


@pytest.fixture
def chip(write) -> Callable[[str, str], Path]:
    """Writes `chip.yaml`, a machine that is right but for one text replaced by another."""

    def chip(old: str = "", new: str = "") -> Path:
        assert old in CHIP
        return write("chip.yaml", CHIP.replace(old, new, 1) if old else CHIP)

    return chip
