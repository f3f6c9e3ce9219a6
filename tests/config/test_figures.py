from __future__ import annotations

from pathlib import Path

import pytest

from simulator.config.figures import ROLES, fold
from simulator.config.read import Node, Source, parse
from simulator.errors import ConfigError


def folded(text: str) -> Node:
    return fold(parse(text, Path("a.yaml")))


def test_a_figure_folds_to_its_value_with_its_source_and_line() -> None:
    tree = folded("a: 1\nb: {value: 3.2 TB/s, source: Table II, role: calibration, note: 'read off'}")
    figure = tree.value["b"]
    assert figure.value == "3.2 TB/s"
    assert figure.source == Source("Table II", "calibration", "read off")
    assert figure.mark.line == 2
    assert tree.value["a"].source is None


def test_a_figure_may_be_a_curve() -> None:
    curve = folded("{value: [[1, 2], [3, 4]], source: Fig 5}")
    assert [[item.value for item in pair.value] for pair in curve.value] == [[1, 2], [3, 4]]
    assert curve.value[1].value[0].source == Source("Fig 5", "input")


def test_a_value_among_other_keys_is_no_figure() -> None:
    tree = folded("{value: 3, unit: GB, source: x}")
    assert {key: child.value for key, child in tree.value.items()} == {"value": 3, "unit": "GB"}


def test_the_source_of_a_mapping_is_lifted_out_and_speaks_for_all_inside_it() -> None:
    tree = folded("source: Paper\nhbm:\n  capacity: 64 GiB\n  bandwidth: {value: 1 TB/s, source: Fig 3}\nlist: [1]")
    assert list(tree.value) == ["hbm", "list"]
    assert tree.value["hbm"].value["capacity"].source == Source("Paper", "input")
    assert tree.value["hbm"].value["bandwidth"].source == Source("Fig 3", "input")
    assert tree.value["list"].value[0].source == Source("Paper", "input")


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("source: Fig 3", Source("Fig 3", "context")),
        ("role: calibration", Source("Paper", "calibration")),
        ("role: assumption", Source("", "assumption")),  # what is assumed has no source to inherit
        ("note: odd", Source("Paper", "context", "odd")),
    ],
)
def test_what_a_figure_leaves_unsaid_it_has_from_outside(said: str, source: Source) -> None:
    assert folded(f"{{source: Paper, role: context, a: {{value: 1, {said}}}}}").value["a"].source == source


def test_a_figure_that_nobody_sources_is_an_assumption() -> None:
    assert folded("{a: {value: 1, note: guessed}}").value["a"].source == Source("", "assumption", "guessed")


def test_a_misspelt_key_of_a_figure_is_named() -> None:
    with pytest.raises(ConfigError, match="rol: unknown key of a figure; did you mean 'role'"):
        folded("a:\n  value: 3\n  rol: input")


@pytest.mark.parametrize("role", ROLES)
def test_the_roles_are_those_of_the_design(role: str) -> None:
    assert folded(f"{{a: {{value: 1, source: x, role: {role}}}}}").value["a"].source == Source("x", role)


@pytest.mark.parametrize(
    ("said", "found"),
    [("role: predicted", "'predicted'"), ("source: 3", "3"), ("note: [a]", "a list"), ("role: null", "nothing")],
)
def test_what_is_no_role_or_no_text_is_refused_with_its_line(said: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        folded(f"a:\n  value: 3\n  {said}")
    assert (caught.value.found, caught.value.line, caught.value.path) == (found, 3, said.split(":")[0])


def test_a_mistyped_role_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'prediction'"):
        folded("{value: 3, role: predicton}")
