from __future__ import annotations

import pickle
from pathlib import Path

from simulator.errors import CapacityError, ConfigError, TiersimError, described, dotted, nearest, one_of, unknown


def test_a_config_error_says_where_what_was_found_what_was_expected_and_the_nearest_name() -> None:
    error = ConfigError(
        "unknown tier", file="a.yaml", line=3, path=("tiers", "hbmm"), found="'hbmm'", expected="a tier", nearest="hbm"
    )
    assert str(error) == "a.yaml:3: tiers.hbmm: unknown tier: found 'hbmm', expected a tier; did you mean 'hbm'?"


def test_a_config_error_leaves_out_what_it_was_not_given() -> None:
    assert str(ConfigError("is empty", file=Path("/nowhere/b.yaml"))) == "/nowhere/b.yaml: is empty"
    assert str(ConfigError(path="count", expected="a number")) == "count: expected a number"
    assert str(ConfigError(found=0, line=7)) == "found 0"


def test_a_file_below_the_current_folder_is_shown_from_there(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(ConfigError("is wrong", file=tmp_path / "x" / "a.yaml", line=2)) == "x/a.yaml:2: is wrong"


def test_a_capacity_error_tells_the_bytes_to_the_byte_and_the_remedy() -> None:
    error = CapacityError("hbm", needed=64e9 + 1, available=64e9, remedy="fits in 2 sockets")
    assert isinstance(error, TiersimError)
    assert "64,000,000,001 B" in str(error)
    assert "64,000,000,000 B" in str(error)
    assert str(error).endswith("; fits in 2 sockets")


def test_the_nearest_name_is_close_or_none() -> None:
    assert nearest("bandwith", ["capacity", "bandwidth"]) == "bandwidth"
    assert nearest("HBM", ["hbm", "ddr"]) == "hbm"
    assert nearest("zebra", ["hbm", "ddr"]) is None
    assert nearest("hbm", []) is None


def test_a_key_path_reads_as_it_is_typed() -> None:
    assert dotted(("links", "ddr<->hbm", 0, "llama-3.1")) == 'links.ddr<->hbm.0."llama-3.1"'


def test_what_was_found_is_described_in_few_words() -> None:
    found = [None, True, 3, 1.5, "x", {"a": 1}, [1]]
    assert [described(value) for value in found] == ["nothing", "true", "3", "1.5", "'x'", "a mapping", "a list"]
    assert len(described("x" * 1000)) == 80


def test_a_choice_of_names_reads_well_for_any_number_of_them() -> None:
    assert one_of(["a", "b"]) == "one of a, b"
    assert one_of(["a"]) == "'a'"
    assert one_of([]) == "none: there are no names"


def test_of_very_many_names_only_those_are_listed_that_are_like_the_one_typed() -> None:
    names = [f"{letter * 3}-{number}" for letter in "abcdefgh" for number in range(10)]
    assert one_of(names, "ccc") == f"one of 80 names, such as {', '.join(names[20:28])}"
    assert one_of(names, "BB-7").startswith("one of 80 names, such as bbb-7, ")
    assert all(name in one_of(names, "zebra") and name in one_of(names) for name in names)
    assert str(unknown("ccc-1", names)).endswith("; did you mean 'ccc-1'?")


def test_a_capacity_error_comes_back_whole_from_another_process() -> None:
    error = CapacityError("a model", needed=3e9, available=2e9, remedy="more devices")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.needed, again.available) == (str(error), 3e9, 2e9)


def test_an_unknown_name_is_told_with_those_that_are_known_and_the_nearest() -> None:
    text = "a.yaml: kind: no such tier: found 'hbn', expected one of ddr, hbm; did you mean 'hbm'?"
    assert str(unknown("hbn", ("ddr", "hbm"), "no such tier", file="a.yaml", path="kind")) == text
    assert str(unknown("x", iter(["hbm"]), found=None, expected="a memory")) == "expected a memory"
