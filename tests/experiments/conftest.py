"""What the tests of shipped experiments share; no experiment is warned of: here, a warning of ours is an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from simulator.study.load import load_study
from simulator.study.results import StudyResults, Wanted, results_of
from simulator.validation.experiment import published_of
from simulator.validation.published import Published


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("filterwarnings"):
            item.add_marker(pytest.mark.filterwarnings("error::simulator.errors.TiersimWarning"))


@pytest.fixture(scope="session")
def published() -> Callable[[str], list[Published]]:
    """The published values of an experiment."""
    return lambda name: published_of(load_study(name))


@pytest.fixture(scope="session")
def simulated() -> Callable[..., StudyResults]:
    """The points of an experiment under some overrides: all, or those that some figures need."""

    def of(name: str, overrides: Sequence[str] = (), wanted: Sequence[Wanted] | None = None) -> StudyResults:
        return results_of(load_study(name, overrides), wanted)

    return of
