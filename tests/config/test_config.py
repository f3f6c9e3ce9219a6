from __future__ import annotations

from pathlib import Path

import pytest

from simulator.config import Source, load
from simulator.errors import ConfigError


def test_a_config_is_found_by_name_or_by_path(write) -> None:
    file = write("a", "{schema: 1, x: {value: 1, source: Fig 1}}")
    for name in ("a", file, str(file)):
        config = load(name, "hw")
        assert config.file == file
        assert config.data == {"x": 1}
        assert config.marks["x",].file == file


def test_an_unknown_name_is_answered_with_the_nearest(write) -> None:
    write("sn40l", "x: 1")
    with pytest.raises(ConfigError, match="did you mean 'sn40l'"):
        load("sn40", "hw")


def test_a_source_is_the_nearest_around_a_key_that_the_file_does_not_write(write) -> None:
    write("a", "source: Paper\nhbm: {source: Sheet, capacity: 1}\nddr: {capacity: 2}\n")
    config = load("a", "hw")
    assert config.source("hbm", "latency") == Source("Sheet", "input")
    assert config.source("ddr", "latency", "read") == Source("Paper", "input")
    assert config.source() == Source("Paper", "input")


def test_what_nobody_sources_has_none(write) -> None:
    write("a", "hbm: {capacity: 1}")
    assert load("a", "hw").source("hbm", "capacity") is None


def test_equal_data_have_equal_hashes_whatever_their_files_order_and_sources(write) -> None:
    write("a", "{source: Paper, x: 1, y: {z: [1, 2.5]}}")
    write("b", "y: {z: [1]}\n")
    write("c", "extends: b\ny: {z: [1, 2.5]}\nx: {value: 1, role: assumption}\n")
    one, other = load("a", "hw"), load("c", "hw")
    assert one.hash == other.hash
    assert one.hash != load("a", "hw", ["x=2"]).hash
    assert one.hash != load("b", "hw").hash
    assert len(one.hash) == 64


def test_a_path_to_nowhere_is_no_traceback(write) -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/a\.yaml"):
        load(Path("/nowhere/a.yaml"), "hw")


def test_overrides_leave_what_is_parsed_as_it_is(write) -> None:
    write("base", "a: {b: {value: 1, source: Table I}, c: [1, 2]}")
    write("one", "extends: base\nd: 3")
    before = load("one", "hw")
    assert load("one", "hw", ["a.b=2", "a.c.1=5", "d=null", "e=4"]).data == {"a": {"b": 2, "c": [1, 5]}, "e": 4}
    assert load("one", "hw") == before


def test_a_config_whose_figures_are_replaced_is_one_with_overrides(write) -> None:
    write("one", "a: {b: {value: 1, source: Table I}, c: {d: 2, e: 3}}\nf: 4")
    overridden = load("one", "hw", ["a.b=2", "a.c={d: 5}", "a.c.e=null", "f=null"])
    replaced = load("one", "hw").replaced({("a", "b"): 2, ("a", "c"): {"d": 5}, ("f",): None})
    assert replaced.data == overridden.data
    assert replaced.mark(("a", "b")) == overridden.mark(("a", "b"))
    assert replaced.source("a", "b") == overridden.source("a", "b")
