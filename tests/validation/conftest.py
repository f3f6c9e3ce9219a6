"""No shipped experiment is warned of: here, a warning of ours is an error."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("filterwarnings"):
            item.add_marker(pytest.mark.filterwarnings("error::simulator.errors.TiersimWarning"))
