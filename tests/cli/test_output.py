from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cli.output import print_error, print_json, progress
from simulator.errors import TiersimError


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_plain_data_prints_as_strict_json(document) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out := io.StringIO())
        print_json(document)
    read = json.loads(out.getvalue(), parse_constant=pytest.fail)
    assert json.dumps(read) == json.dumps(_expected(document))


def _expected(value):
    if isinstance(value, dict):
        return {key: _expected(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expected(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def test_what_is_numpys_prints_as_plain_numbers(capsys) -> None:
    print_json({"a": np.float64(0.5), "b": np.array([1, 2]), "c": np.array([np.nan, 1.0]), 4: (1,)})
    assert json.loads(capsys.readouterr().out) == {"a": 0.5, "b": [1, 2], "c": [None, 1.0], "4": [1]}


@pytest.mark.parametrize("figure", [np.inf, -np.inf, np.float64(np.inf), np.array([1.0, np.inf]), [np.inf]])
def test_what_is_infinite_is_an_error_that_names_it(capsys, figure) -> None:
    with pytest.raises(TiersimError, match=r"a\.b.*: found -?inf, expected a finite number"):
        print_json({"a": {"b": figure}})
    assert capsys.readouterr().out == ""


def test_each_mistake_is_a_line_on_stderr(capsys) -> None:
    print_error("one [bold]\ntwo" + " long" * 100)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == ["error: one [bold]", "error: two" + " long" * 100]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "drawn"), [(Terminal, True), (io.StringIO, False)])
def test_progress_is_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys, stream, drawn: bool) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", err := stream())
    with progress() as advance:
        advance("sweep", 1, 2)
        advance("sweep", 2, 2)
    assert ("sweep" in err.getvalue()) == drawn
    assert capsys.readouterr().out == ""
