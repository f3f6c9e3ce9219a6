"""Recorded routing: every form gives back what was written; passes, start-up tokens and mistakes are found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload.routing.draws import counts
from simulator.workload.routing.recording import STARTUP, RoutingTrace, load_routing

Passes = list[NDArray[np.int64]]
"""The choices of each forward pass, shape (layers, tokens, top_k)."""


def jsonl(file: Path, passes: Passes, layers: list[int]) -> None:
    lines: list[dict[str, Any]] = [{"type": "meta", "model_id": "small", "top_k": passes[0].shape[2]}]
    for choices in passes:
        for layer, of_layer in zip(layers, choices, strict=True):
            lines += [
                {"type": "route", "req_id": "r1", "token_idx": token, "layer": layer, "topk_ids": ids.tolist(),
                 "topk_weights": [0.1] * len(ids)}
                for token, ids in enumerate(of_layer)
            ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def frame(passes: Passes, layers: list[int]) -> pd.DataFrame:
    """Token after token, each in all layers."""
    rows = [
        (step, token, layer, *choices[place, token].tolist())
        for step, choices in enumerate(passes)
        for token in range(choices.shape[1])
        for place, layer in enumerate(layers)
    ]
    return pd.DataFrame(rows, columns=["step", "token", "layer", *(f"expert_{k}" for k in range(passes[0].shape[2]))])


def npz(file: Path, passes: Passes, layers: list[int]) -> None:
    begins = np.cumsum([0, *(choices.shape[1] for choices in passes[:-1])])
    np.savez(file, choices=np.concatenate(passes, axis=1), passes=begins, layers=np.array(layers))


FORMS: dict[str, Callable[[Path, Passes, list[int]], object]] = {
    "jsonl": jsonl,
    "csv": lambda file, passes, layers: frame(passes, layers).to_csv(file, index=False),
    "parquet": lambda file, passes, layers: frame(passes, layers).to_parquet(file),
    "npz": npz,
}


def made(experts: int, top_k: int, layers: int, tokens: list[int], seed: int) -> Passes:
    random = np.random.Generator(np.random.PCG64(seed))
    return [random.random((layers, n, experts)).argsort(axis=-1)[..., :top_k] for n in tokens]


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=15)
@given(
    size=st.integers(2, 20).flatmap(lambda experts: st.tuples(st.just(experts), st.integers(1, experts - 1))),
    layers=st.lists(st.integers(0, 40), min_size=1, max_size=3, unique=True),
    tokens=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    size: tuple[int, int],
    layers: list[int],
    tokens: list[int],
    seed: int,
) -> None:
    experts, top_k = size
    passes = made(experts, top_k, len(layers), tokens, seed)
    file = tmp_path_factory.mktemp("routing") / f"routes.{form}"
    FORMS[form](file, passes, layers)
    trace = load_routing(file, experts, top_k, len(layers), keep_startup=True)
    order = np.argsort(layers)
    assert trace.layers == tuple(sorted(layers))
    np.testing.assert_array_equal(trace.choices, np.concatenate(passes, axis=1)[order])
    assert trace.tokens.tolist() == tokens
    assert (trace.experts, trace.top_k, len(trace), trace.dropped) == (experts, top_k, sum(tokens), 0)
    for counted, choices in zip(trace.counts, passes, strict=True):
        for of_layer, picks in zip(counted, choices[order], strict=True):
            np.testing.assert_array_equal(of_layer, np.bincount(picks.ravel(), minlength=experts))
    np.testing.assert_allclose(trace.popularity.sum(axis=-1), top_k)


def routes(tokens: list[tuple[int, list[int]]], layer: int = 0) -> str:
    """JSONL of one layer: the number of each token, and its experts."""
    meta = json.dumps({"type": "meta", "top_k": len(tokens[0][1])})
    lines = (
        json.dumps({"type": "route", "token_idx": token, "layer": layer, "topk_ids": ids}) for token, ids in tokens
    )
    return "\n".join([meta, *lines]) + "\n"


def written(folder: Path, text: str, name: str = "routes.jsonl") -> Path:
    file = folder / name
    file.write_text(text)
    return file


# --- passes


def test_a_pass_begins_where_token_numbers_do_not_rise(tmp_path: Path) -> None:
    numbers = [0, 1, 2, 0, 1, 0, 0, 3, 2]
    file = written(tmp_path, routes([(number, [place % 3, 3]) for place, number in enumerate(numbers)]))
    assert load_routing(file).passes.tolist() == [0, 3, 5, 6, 8]


def test_numbers_that_run_on_are_one_pass(tmp_path: Path) -> None:
    file = written(tmp_path, routes([(1984 + token, [token % 3, 3]) for token in range(20)]))
    assert load_routing(file).passes.tolist() == [0]


def test_layers_in_several_files_are_joined(tmp_path: Path) -> None:
    tokens = [(0, [1, 2]), (1, [0, 3]), (0, [2, 3])]
    late = written(tmp_path, routes([(token, [5, ids[0]]) for token, ids in tokens], layer=12), "layer12.jsonl")
    early = written(tmp_path, routes(tokens), "layer0.jsonl")
    trace = load_routing([late, early])
    assert trace.layers == (0, 12)
    assert trace.experts == 6
    assert trace.choices.tolist() == [[[1, 2], [0, 3], [2, 3]], [[5, 1], [5, 0], [5, 2]]]
    assert trace.counts[:, 1, 5].tolist() == [2, 1]


# --- start-up tokens


def with_startup(dummies: int, real: int = 5) -> list[tuple[int, list[int]]]:
    """So many tokens of one set, in any order, then real ones."""
    same = [(token, [3, 1] if token % 2 else [1, 3]) for token in range(dummies)]
    return [*same, *((token, [token % 3, 4]) for token in range(real))]


def test_startup_tokens_are_dropped_and_counted(tmp_path: Path) -> None:
    file = written(tmp_path, routes(with_startup(STARTUP)))
    trace = load_routing(file)
    assert (trace.dropped, len(trace), trace.passes.tolist()) == (STARTUP, 5, [0])
    assert trace.choices[0, 0].tolist() == [0, 4]
    kept = load_routing(file, keep_startup=True)
    assert (kept.dropped, len(kept), kept.passes.tolist()) == (0, STARTUP + 5, [0, STARTUP])


def test_a_few_equal_tokens_are_no_startup(tmp_path: Path) -> None:
    assert load_routing(written(tmp_path, routes(with_startup(STARTUP - 1)))).dropped == 0


def test_startup_ends_in_the_first_layer_that_it_ends_in(tmp_path: Path) -> None:
    numbers = range(STARTUP + 9)
    shorter = [(token, [1, 2] if token < STARTUP + 2 else [token % 3, 4]) for token in numbers]
    longer = [(token, [0, 1] if token < STARTUP + 5 else [token % 3, 4]) for token in numbers]
    files = [written(tmp_path, routes(longer), "0.jsonl"), written(tmp_path, routes(shorter, layer=1), "1.jsonl")]
    trace = load_routing(files)
    assert trace.dropped == STARTUP + 2
    assert trace.passes.tolist() == [0]  # what is left of the pass that startup ends in


def test_tokens_of_all_experts_are_no_startup(tmp_path: Path) -> None:
    assert load_routing(written(tmp_path, routes([(token, [0, 1]) for token in range(50)]))).dropped == 0


def test_a_recording_of_nothing_but_startup_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, routes([(token, [0, 2]) for token in range(50)]))
    with pytest.raises(ConfigError, match=r"nothing but start-up tokens: found 50"):
        load_routing(file)


# --- drawing from it


def test_the_router_draws_what_was_recorded(tmp_path: Path) -> None:
    file = written(tmp_path, routes([(token, [token % 5, 5 + token % 2]) for token in range(10)]))
    trace = load_routing(file)
    drawn = counts(trace.router(), np.array([10, 20]), 1)
    np.testing.assert_array_equal(drawn[0, 0], trace.counts[0, 0])
    np.testing.assert_array_equal(drawn[1, 0], 2 * trace.counts[0, 0])


def test_a_trace_does_not_change(tmp_path: Path) -> None:
    trace: RoutingTrace = load_routing(written(tmp_path, routes([(0, [0, 1]), (1, [1, 2])])))
    for array in (trace.choices, trace.counts):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


# --- mistakes

META = '{"type": "meta", "top_k": 2, "num_experts": 8}\n'
ROUTE = '{"type": "route", "token_idx": 0, "layer": 0, "topk_ids": [0, 1]}\n'
HEADER = "step,token,layer,expert_0,expert_1\n"


@pytest.mark.parametrize(
    ("called", "text", "line", "says"),
    [
        ("a.jsonl", META + ROUTE.replace("[0, 1]", "[0, 8]"), 2, "expert: found 8, expected 0 to 7"),
        ("a.jsonl", META + ROUTE.replace("[0, 1]", "[0, -1]"), 2, "topk_ids"),
        ("a.jsonl", META + ROUTE.replace("[0, 1]", "[0, true]"), 2, "topk_ids"),
        ("a.jsonl", META + ROUTE.replace("[0, 1]", "[0, 1.0]"), 2, "topk_ids"),
        ("a.jsonl", META + ROUTE.replace("[0, 1]", "7"), 2, "topk_ids"),
        ("a.jsonl", META + ROUTE + ROUTE.replace("[0, 1]", "[0, 1, 2]"), 3, "found 3, expected 2"),
        ("a.jsonl", ROUTE + ROUTE.replace("[0, 1]", "[0]"), 2, "found 1, expected 2"),
        ("a.jsonl", META + ROUTE.replace("[0, 1]", "[3, 3]"), 2, "found [3, 3], expected different ones"),
        ("a.jsonl", META + "\n" + ROUTE.replace('"layer": 0, ', ""), 3, "layer: found nothing"),
        ("a.jsonl", META + ROUTE.replace('"token_idx": 0', '"token_idx": "0"'), 2, "token_idx: found '0'"),
        ("a.jsonl", META + "{\n", 2, "not JSON"),
        ("a.jsonl", META + "[1]\n", 2, "found a list, expected an object"),
        ("a.jsonl", META + ROUTE.replace("route", "routes"), 2, "did you mean 'route'?"),
        ("a.jsonl", META, None, "empty"),
        ("a.jsonl", "", None, "empty"),
        ("a.csv", "", 1, "step,token,layer"),
        ("a.csv", "step,token,layer\n0,0,0\n", 1, "step,token,layer,expert_0"),
        ("a.csv", HEADER.replace("expert_1", "expert_2"), 1, "columns"),
        ("a.csv", HEADER, None, "empty"),
        ("a.csv", HEADER + "0,0,0,1,2\n0,1,0,1\n", 3, "4 columns"),
        ("a.csv", HEADER + "0,0,0,1,2\n\n0,1,0,1,x\n", 4, "expert_1: found 'x'"),
        ("a.csv", HEADER + "0,0,0,1,2\n0,1,0,1,-2\n", 3, "found '-2'"),
        ("a.csv", HEADER + "0,0,0,1,2\n0,1,0,1,1\n", 3, "different ones"),
        ("a.csv", HEADER + "0,0,0,1,2\n0,1,0,1,9\n", 3, "found 9, expected 0 to 7"),
        ("a.csv", HEADER + "0,0,0,1,2\n0,0,0,1,2\n", 3, "token: found 0, expected more than in the row before"),
        ("a.txt", "", None, "expected one of .jsonl, .csv, .parquet, .npz"),
        ("a.parquet", "no parquet", None, "cannot be read"),
        ("a.npz", "no archive", None, "cannot be read"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(
    tmp_path: Path, called: str, text: str, line: int | None, says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_routing(written(tmp_path, text, called), experts=8)
    assert (f"{called}:{line}" if line else called) in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"choice": [[[0, 1]]]}, "did you mean 'choice'?"),
        ({"choices": [[0, 1]]}, "layers x tokens x top_k"),
        ({"choices": [[[0.5, 1]]]}, "float64"),
        ({"choices": np.zeros((1, 0, 2), dtype=int)}, "empty"),
        ({"choices": [[[0, 1]]], "passes": [1]}, "passes"),
        ({"choices": [[[0, 1], [1, 2]]], "passes": [0, 2]}, "less than 2"),
        ({"choices": [[[0, 1]]], "layers": [0, 1]}, "1 different numbers"),
        ({"choices": [[[0, 1]], [[0, 1]]], "layers": [3, 3]}, "2 different numbers"),
        ({"choices": [[[0, 1]]], "experts": 0}, "1 or more"),
        ({"choices": [[[0, 1], [0, 2]]], "experts": 2}, "row 1: expert: found 2, expected 0 to 1"),
        ({"choices": [[[0, 1], [2, 2]]]}, "row 1: experts of a token"),
    ],
)
def test_a_wrong_archive_is_refused(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "a.npz", **{name: np.array(values) for name, values in arrays.items()})
    with pytest.raises(ConfigError) as error:
        load_routing(tmp_path / "a.npz")
    assert "a.npz" in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expert_1": [1.5, 2.0]}, "expert_1: found float64 values"),
        ({"step": [None, 1]}, "step: found float64 values"),
        ({"token": [0, -1]}, "row 1: token: found -1"),
        ({"expert_1": [0, 1]}, "row 0: experts of a token: found [0, 0]"),
        ({"expert_3": [2, 3]}, "columns"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    table = {"step": [0, 0], "token": [0, 1], "layer": [0, 0], "expert_0": [0, 3], "expert_1": [1, 2]}
    pd.DataFrame(table | change).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ConfigError) as error:
        load_routing(tmp_path / "a.parquet")
    assert "a.parquet" in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize("called", ["none.jsonl", "none.csv", "none.parquet", "none.npz"])
def test_a_missing_file_is_no_traceback(tmp_path: Path, called: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_routing(tmp_path / called)


def test_other_numbers_than_asked_for_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, routes([(0, [0, 1]), (1, [1, 2])], layer=5))
    with pytest.raises(ConfigError, match="layers: found 1: 5, expected 32 of them"):
        load_routing(file, layers=32)
    with pytest.raises(ConfigError, match=r"routes\.jsonl:2: experts of a token: found 2, expected 4"):
        load_routing(file, top_k=4)
    with pytest.raises(ConfigError, match="one or more"):
        load_routing([])


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (routes([(0, [0, 1]), (1, [1, 2])], layer=0), r"b\.jsonl: found layer 0, as in .*a\.jsonl"),
        (routes([(0, [0, 1])], layer=1), r"b\.jsonl: layer 1: found 1 tokens x 2, expected 2 x 2"),
        (routes([(0, [0]), (1, [1])], layer=1), r"b\.jsonl: layer 1: found 2 tokens x 1, expected 2 x 2"),
        (routes([(0, [0, 1]), (0, [1, 2])], layer=1), r"b\.jsonl: layer 1: found other passes"),
    ],
)
def test_files_of_other_tokens_are_not_joined(tmp_path: Path, other: str, says: str) -> None:
    first = written(tmp_path, routes([(0, [0, 1]), (1, [1, 2])]), "a.jsonl")
    with pytest.raises(ConfigError, match=says):
        load_routing([first, written(tmp_path, other, "b.jsonl")])


@pytest.mark.parametrize(("called", "start"), [("any.jsonl", META), ("any.csv", HEADER)])
@settings(deadline=None, max_examples=50)
@given(text=st.text(max_size=200))
def test_any_text_is_a_recording_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, called: str, start: str, text: str
) -> None:
    file = tmp_path_factory.mktemp("any") / called
    file.write_text(start + text, encoding="utf-8", errors="ignore")
    try:
        assert len(load_routing(file)) > 0
    except ConfigError as error:
        assert called in str(error)
