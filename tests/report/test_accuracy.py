"""The page of accuracy is that of this code and these data."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator import accuracy

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"


@pytest.mark.slow
def test_the_page_is_what_the_command_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == accuracy(), "tiersim accuracy --output docs/accuracy.md"
