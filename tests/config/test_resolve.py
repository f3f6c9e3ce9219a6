from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.config import Source, load
from simulator.config.read import Mark, Node
from simulator.config.resolve import merge
from simulator.errors import ConfigError

BASE = """\
    schema: 1
    source: Paper
    tiers:
      hbm: {capacity: {value: 64 GiB, source: Table II, role: calibration}, bandwidth: 1.8 TB/s}
      ddr: {capacity: 1.5 TB, bandwidth: 200 GB/s}
    links: [{name: ddr<->hbm, bandwidth: 25 GB/s}, {name: host}]
    'llama-3.1': {layers: 80}
    """


# extends


def test_a_config_is_laid_over_what_it_extends(write) -> None:
    write("base", BASE)
    write("child", "extends: base\ntiers: {hbm: {capacity: 80 GB}, ddr: null}\nlinks: [1]\nnew: {a: null}\n")
    config = load("child", "hw")
    assert config.data["tiers"] == {"hbm": {"capacity": "80 GB", "bandwidth": "1.8 TB/s"}}
    assert config.data["links"] == [1]
    assert config.data["new"] == {"a": None}
    assert "extends" not in config.data and "schema" not in config.data


def test_a_source_does_not_speak_for_the_figures_of_another_file(write) -> None:
    write("base", BASE)
    write("child", "extends: base\ntiers: {hbm: {capacity: 80 GB}}\n")
    write("other", "extends: base\nsource: Sheet\ntiers: {hbm: {capacity: 80 GB}}\n")
    child, other = load("child", "hw"), load("other", "hw")
    assert child.source("tiers", "hbm", "capacity") is None
    assert child.source("tiers", "hbm", "bandwidth") == Source("Paper", "input")
    assert other.source("tiers", "hbm", "capacity") == Source("Sheet", "input")
    assert other.source("tiers", "hbm", "bandwidth") == Source("Paper", "input")


def test_each_value_keeps_the_file_and_line_that_wrote_it(write) -> None:
    base, child = write("base", BASE), write("child", "extends: base\ntiers:\n  hbm:\n    capacity: 80 GB\n")
    marks = load("child", "hw").marks
    assert marks["tiers", "hbm", "capacity"] == Mark(child, 4)
    assert marks["tiers", "hbm", "bandwidth"] == Mark(base, 4)


def test_extends_looks_beside_the_file_first_then_among_ours(write, tmp_path: Path) -> None:
    write("base", "a: ours")
    folder = tmp_path / "mine"
    folder.mkdir()
    mine = folder / "mine.yaml"
    mine.write_text("extends: base")
    assert load(mine, "hw").data == {"a": "ours"}
    (folder / "base.yaml").write_text("a: beside")
    assert load(mine, "hw").data == {"a": "beside"}
    mine.write_text("extends: ../hw/base.yaml")
    assert load(mine, "hw").data == {"a": "ours"}


def test_one_of_ours_may_be_extended_under_its_own_name(write, tmp_path: Path) -> None:
    write("base", "{a: 1, b: 2}")
    mine = tmp_path / "base.yaml"
    mine.write_text("{extends: base, b: 3}")
    assert load(mine, "hw").data == {"a": 1, "b": 3}


def test_a_circle_is_shown_link_by_link(write) -> None:
    write("a", "extends: b")
    write("b", "extends: c")
    file = write("c", "x: 1\nextends: a")
    with pytest.raises(ConfigError, match="extends itself: a -> b -> c -> a") as caught:
        load("a", "hw")
    assert (caught.value.file, caught.value.line) == (file, 2)


def test_a_file_that_extends_itself_is_a_circle(write) -> None:
    write("a", "extends: a")
    with pytest.raises(ConfigError, match="a -> a"):
        load("a", "hw")


def test_to_extend_nothing_is_answered_with_the_nearest_and_the_line(write) -> None:
    write("base", BASE)
    file = write("child", "\nextends: bas")
    with pytest.raises(ConfigError, match=r"extends: .*'bas'.*did you mean 'base'") as caught:
        load("child", "hw")
    assert (caught.value.file, caught.value.line) == (file, 2)


@pytest.mark.parametrize("value", ["3", "[a]", "''", "{a: 1}"])
def test_extends_takes_a_name_only(write, value: str) -> None:
    write("child", f"extends: {value}")
    with pytest.raises(ConfigError, match="expected the name of a file"):
        load("child", "hw")


@pytest.mark.parametrize(
    ("schema", "says"), [("2", "newer tiersim"), ("0", "schema 1"), ("x", "schema 1"), ("true", "schema 1")]
)
def test_a_schema_that_this_program_does_not_read_is_refused_by_name(write, schema: str, says: str) -> None:
    write("a", f"x: 1\nschema: {schema}")
    with pytest.raises(ConfigError, match=says) as caught:
        load("a", "hw")
    assert caught.value.line == 2


@pytest.mark.parametrize("text", ["", "[1]", "3", "# nothing"])
def test_the_top_of_a_file_is_a_mapping(write, text: str) -> None:
    write("a", text)
    with pytest.raises(ConfigError, match="expected a mapping"):
        load("a", "hw")


# overrides


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("tiers.hbm.bandwidth=3 TB/s", ("tiers", "hbm", "bandwidth"), "3 TB/s"),
        ("tiers.hbm.capacity=128 GiB", ("tiers", "hbm", "capacity"), "128 GiB"),
        ("tiers.hbm.latency=14 us", ("tiers", "hbm", "latency"), "14 us"),
        ("tiers.hbm={bandwidth: 1e12}", ("tiers", "hbm"), {"capacity": "64 GiB", "bandwidth": 1e12}),
        ("links.0.bandwidth=50 GB/s", ("links", 0, "bandwidth"), "50 GB/s"),
        ("links.1=[a, b]", ("links", 1), ["a", "b"]),
        ('"llama-3.1".layers=40', ("llama-3.1", "layers"), 40),
        (" calibration = none", ("calibration",), "none"),
        ("links.0.name=a=b", ("links", 0, "name"), "a=b"),
        ("tiers.ddr->hbm=no", ("tiers", "ddr->hbm"), "no"),
    ],
)
def test_an_override_sets_one_value_which_is_then_an_assumption(write, override: str, path: tuple, value: Any) -> None:
    write("base", BASE)
    config = load("base", "hw", [override])
    found = config.data
    for key in path:
        found = found[key]
    assert found == value
    if not isinstance(value, dict):
        assert config.source(*path) == Source("--set", "assumption")
    assert config.source("tiers", "ddr", "capacity") == Source("Paper", "input")


def test_overrides_apply_in_order_after_extends_and_a_null_takes_a_key_away(write) -> None:
    write("base", BASE)
    write("child", "extends: base\n")
    config = load("child", "hw", ["tiers.cxl={}", "tiers.cxl.capacity=1 TB", "tiers.ddr=null", "tiers.gone=null"])
    assert config.data["tiers"].keys() == {"hbm", "cxl"}
    assert config.data["tiers"]["cxl"] == {"capacity": "1 TB"}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("tiers.hbmm.bandwidth=3", "--set: tiers.hbmm: unknown key: expected one of hbm, ddr; did you mean 'hbm'?"),
        ("links.2.name=x", "--set: links.2: found '2', expected an index from 0 to 1"),
        ("links.-1.name=x", "--set: links.-1: found '-1', expected an index"),
        ("links.name=x", "--set: links.name: found 'name', expected an index"),
        (
            "tiers.hbm.bandwidth.x=3",
            "--set: tiers.hbm.bandwidth.x: found '1.8 TB/s' at tiers.hbm.bandwidth, expected a mapping",
        ),
        ("tiers.hbm", "--set: found 'tiers.hbm', expected path.to.key=value"),
        ("=3", "expected path.to.key=value"),
        ("a..b=3", "expected path.to.key=value"),
        ("a=[1", "--set: not valid YAML"),
        ("a=!!python/name:os.system x", "--set: the tag !!python/name:os.system is refused"),
    ],
)
def test_an_override_of_nothing_is_refused(write, override: str, says: str) -> None:
    write("base", BASE)
    with pytest.raises(ConfigError) as caught:
        load("base", "hw", [override])
    assert says in str(caught.value)


# laws of merging

MARK = Mark(Path("a.yaml"))


def tree(value: Any) -> Node:
    return Node({key: tree(child) for key, child in value.items()} if isinstance(value, dict) else value, MARK)


def plain(node: Node) -> Any:
    return {key: plain(child) for key, child in node.value.items()} if isinstance(node.value, dict) else node.value


keys = st.sampled_from("abc")
mappings = st.recursive(st.integers(0, 9), lambda inside: st.dictionaries(keys, inside, max_size=3), max_leaves=12).map(
    lambda value: value if isinstance(value, dict) else {"a": value}
)


@given(mappings)
def test_to_merge_with_nothing_or_with_itself_changes_nothing(value: dict) -> None:
    assert plain(merge(tree(value), tree({}))) == plain(merge(tree({}), tree(value))) == value
    assert plain(merge(tree(value), tree(value))) == value


@given(mappings, mappings, mappings)
def test_merging_is_associative(a: dict, b: dict, c: dict) -> None:
    x, y, z = tree(a), tree(b), tree(c)
    if all(
        isinstance(b.get(k), dict) or not isinstance(a.get(k), dict) for k in b
    ):  # a number over a mapping forgets it
        assert plain(merge(merge(x, y), z)) == plain(merge(x, merge(y, z)))


@given(mappings, mappings)
def test_what_lies_over_is_kept(a: dict, b: dict) -> None:
    assert plain(merge(tree(plain(merge(tree(a), tree(b)))), tree(b))) == plain(merge(tree(a), tree(b)))


# parts


@pytest.fixture
def part(write, tmp_path: Path):
    """Writes `hw/parts/NAME.yaml`."""
    (tmp_path / "hw" / "parts").mkdir()
    return lambda name, text: write(f"parts/{name}", text)


def test_a_mapping_is_laid_on_the_part_that_it_names(write, part) -> None:
    stack = part("stack", "description: a stack\ntier:\n  kind: hbm\n  bus: {value: 1024, source: JEDEC}\n")
    own = write(
        "own", "tiers:\n  hbm:\n    part: stack\n    capacity: 80 GB\n  two: {part: stack, kind: ddr, bus: null}\n"
    )
    config = load("own", "hw")
    assert config.data == {"tiers": {"hbm": {"kind": "hbm", "bus": 1024, "capacity": "80 GB"}, "two": {"kind": "ddr"}}}
    assert config.marks["tiers", "hbm", "bus"] == Mark(stack, 4)
    assert config.marks["tiers", "hbm", "capacity"] == Mark(own, 4)
    assert config.source("tiers", "hbm", "bus") == Source("JEDEC", "input")


def test_parts_extend_and_include_parts_and_a_file_replaces_that_of_its_base(write, part) -> None:
    part("bus", "link: {width: 16}")
    part("slow", "tier: {kind: ddr, bus: {part: bus, rate: 1}}")
    part("fast", "extends: slow\ntier: {bus: {rate: 2}}")
    write("base", "tiers: {hbm: {part: slow, capacity: 1}}")
    write("own", "extends: base\ntiers: {hbm: {part: fast}}")
    assert load("own", "hw").data == {"tiers": {"hbm": {"kind": "ddr", "bus": {"width": 16, "rate": 2}, "capacity": 1}}}
    told = load("base", "hw", ["tiers.hbm.part=fast", ("tiers.more", {"part": "slow", "bus": 3})])
    assert told.data["tiers"]["hbm"]["bus"]["rate"] == 2
    assert told.data["tiers"]["more"] == {"kind": "ddr", "bus": 3}


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("stak", r"own\.yaml:2: part: nothing in hw/parts has this name: found 'stak', .*did you mean 'stack'"),
        ("itself", r"itself\.yaml:1: part: a part of itself: own -> itself -> itself"),
        ("two", r"two\.yaml: a part: found 2 mappings, expected one, such as tier: or link:"),
        ("3", r"own\.yaml:2: part: found 3, expected the name of a file"),
    ],
)
def test_a_part_that_cannot_be_included_is_told_with_its_line(write, part, named: str, says: str) -> None:
    part("stack", "tier: {kind: hbm}")
    part("itself", "tier: {bus: {part: itself}}")
    part("two", "tier: {kind: hbm}\nlink: {bandwidth: 1}")
    write("own", f"tiers:\n  hbm: {{part: {named}}}\n")
    with pytest.raises(ConfigError, match=says):
        load("own", "hw")


def test_where_there_are_no_parts_the_key_is_one_like_others(write) -> None:
    write("own", "tiers: {hbm: {part: stack}}")
    assert load("own", "hw").data == {"tiers": {"hbm": {"part": "stack"}}}
