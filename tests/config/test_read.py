from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simulator.config.read import Node, parse, read
from simulator.errors import ConfigError

FILE = Path("a.yaml")


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[
            ("1e9", 1e9),
            ("1.6e12", 1.6e12),
            ("-.5", -0.5),
            ("3.", 3.0),
            ("+7", 7),
            ("010", 10),
            ("0o17", 15),
            ("0xff", 255),
        ],
        *[(word, word) for word in ("no", "yes", "on", "off", "y", "12:30", "1_000", "2024-01-02", "0b1", "1.8 TB/s")],
        *[("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("'1'", "1"), ('"no"', "no")],
        *[
            (".inf", math.inf),
            ("-.INF", -math.inf),
            ("!!str 12", "12"),
            ("!!float 3", 3.0),
            ("! 12", "12"),
            ("!!null ''", None),
        ],
        *[("[]", []), ("{}", {}), ("!!seq [1]", [1]), ("!!map {a: 1}", {"a": 1}), ("|\n  a\n  b\n", "a\nb\n")],
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = plain(parse(f"a: {text}", FILE))["a"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_read_and_left_to_the_check() -> None:
    assert math.isnan(plain(parse(".nan", FILE)))


def test_keys_are_text_whatever_they_look_like() -> None:
    assert plain(parse("1: a\nno: b\nnull: c\n1e9: d\n", FILE)) == {"1": "a", "no": "b", "null": "c", "1e9": "d"}


def test_each_value_knows_its_line_and_that_of_a_pair_is_its_keys() -> None:
    tree = parse("a: 1\nb:\n  c:\n    2\n  d: [3,\n   4]\n", FILE)
    b = tree.value["b"]
    assert (tree.value["a"].mark.line, b.mark.line, b.value["c"].mark.line) == (1, 2, 3)
    assert [item.mark.line for item in b.value["d"].value] == [5, 6]
    assert b.mark.file == FILE


def test_an_alias_repeats_its_value() -> None:
    assert plain(parse("a: &x {b: 1}\nc: *x\n", FILE)) == {"a": {"b": 1}, "c": {"b": 1}}


BOMB = "- &x0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" + "".join(
    f"- &x{level} [{', '.join([f'*x{level - 1}'] * 10)}]\n" for level in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' is given twice, first in line 1"),
        ("a:\n  'b': 1\n  b: 2", 3, "the key 'b' is given twice, first in line 2"),
        ("a: 1\n<<: {b: 2}", 2, "use `extends: NAME`"),
        ("a: !!python/object/apply:os.system [ls]", 1, "the tag !!python/object/apply:os.system is refused"),
        ("\na: !!python/name:os.system ''", 2, "the tag !!python/name:os.system is refused"),
        ("a: !include b.yaml", 1, "the tag !include is refused"),
        ("a: !!set {b, c}", 1, "the tag !!set is refused"),
        ("a: !!binary aGk=", 1, "the tag !!binary is refused"),
        ("a: !!timestamp 2024-01-02", 1, "the tag !!timestamp is refused"),
        ("a: !!int x", 1, "'x' is no int"),
        ("a: 1\n---\nb: 2", 3, "one document is expected"),
        ("a: &x\n  b: *x", 2, "the alias *x contains itself"),
        ("a: *x", 1, "the alias *x has no anchor"),
        ("? [1]\n: 2", 1, "a key is text"),
        ("? {a: 1}\n: 2", 1, "a key is text"),
        ("a: [1,\n  2\nb: 3", 3, "not valid YAML"),
        ("a: 1\n\tb: 2", 2, "not valid YAML"),
        ("a: " + "9" * 5000, 1, "too many digits"),
        ("[" * 100_000, 1, "nested deeper"),
        ("{a: " * 100_000, 1, "nested deeper"),
        ("- " * 1000 + "1", 1, "nested deeper"),
        (BOMB, 6, "more than 1,000,000 values"),
    ],
)
def test_what_is_dangerous_or_surprising_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, FILE)
    assert says in str(caught.value)
    assert caught.value.file == FILE
    assert caught.value.line == line


@pytest.mark.parametrize("content", [b"a: \x00", b"a: \xff\xfe", b"a: \x07"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.yaml"):
        read(file)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / name)


def test_a_text_is_parsed_once_and_a_changed_one_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1")
    first = read(file)
    assert read(file) is first
    file.write_text("a: 2")  # of the same size, perhaps in the same instant
    assert plain(read(file)) == {"a": 2}


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert plain(read(file)) == {"a": 1}


words = st.text(
    st.characters(codec="utf-8", exclude_characters="0123456789"), max_size=8
)  # PyYAML writes the text 1e9 unquoted
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words
documents = st.recursive(
    scalars,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(words, inside, max_size=4),
    max_leaves=20,
)


@given(documents)
def test_json_is_read_as_json_reads_it(document: Any) -> None:
    text = json.dumps(document).replace("Infinity", ".inf")
    if "\\ud" not in text and ".inf" not in text:  # JSON escapes a character beyond 16 bits as two, which YAML is not
        assert plain(parse(text, FILE)) == json.loads(text)


@given(documents)
def test_what_pyyaml_writes_and_reads_unharmed_is_read_the_same(document: Any) -> None:
    try:
        text = yaml.safe_dump(document)
        theirs = yaml.safe_load(text)
    except yaml.YAMLError:
        return  # a character that YAML has no place for
    assert plain(parse(text, FILE)) == theirs


@given(st.text(alphabet="ab:-&*!|>{}[],'\"# \n\t1.e~?<", max_size=40))
def test_no_text_does_worse_than_a_config_error(text: str) -> None:
    try:
        parse(text, FILE)
    except ConfigError as error:
        assert error.file == FILE
