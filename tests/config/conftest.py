from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from simulator import data


@pytest.fixture
def write(tmp_path: Path, monkeypatch) -> Callable[[str, str], Path]:
    """Writes `hw/NAME.yaml` below a root of its own, where names in `hw` are then found."""
    monkeypatch.setattr(data, "_root", lambda: tmp_path)
    (tmp_path / "hw").mkdir()

    def write(name: str, text: str) -> Path:
        file = tmp_path / "hw" / f"{name}.yaml"
        file.write_text(dedent(text), encoding="utf-8")
        return file

    return write
