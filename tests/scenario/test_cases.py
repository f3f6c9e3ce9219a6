"""Values at paths of a scenario."""

from __future__ import annotations

import pytest

from simulator.errors import ConfigError
from simulator.scenario.cases import with_values
from simulator.scenario.evaluate import scenario_of
from simulator.scenario.form import Scenario


@pytest.fixture
def batch() -> Scenario:
    return scenario_of("dgx-h100", "llama-2-7b", {}, {"kind": "batch", "batch": 4})


def test_another_kind_of_workload_comes_with_keys_of_its_own(batch: Scenario) -> None:
    """In any order, sections within it too; what is said of both kinds stays."""
    values = {"workload.tokens": 64, "workload.kind": "training", "workload.recompute": "layer"}
    section = {"kind": "training", "batch": 4, "tokens": 64, "recompute": "layer"}
    assert with_values(batch, values) == with_values(batch, {"workload": section})
    graph = {"workload.kind": "kernels", "workload.graph.kind": "pass", "workload.graph.phase": "decode"}
    plain = scenario_of("dgx-h100", "llama-2-7b", {}, {"kind": "batch"})
    section = {"kind": "kernels", "graph": {"kind": "pass", "phase": "decode"}}
    assert with_values(plain, graph) == with_values(plain, {"workload": section})


def test_a_key_of_another_kind_that_it_has_not_is_refused_by_its_path(batch: Scenario) -> None:
    with pytest.raises(ConfigError, match=r"workload\.tokns: unknown key: .*did you mean 'tokens'"):
        with_values(batch, {"workload.kind": "training", "workload.tokns": 64})
    with pytest.raises(ConfigError, match="one of the two"):
        with_values(batch, {"workload.kind": "training", "workload": {"kind": "requests"}})
