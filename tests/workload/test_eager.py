"""The lists of what PyTorch dispatches: they add up to what was measured, and the docs show them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator import data
from simulator.errors import ConfigError
from simulator.workload import (
    Model,
    Operator,
    OperatorGraph,
    decode,
    load_model,
    operator_graph,
    prefill,
    training_graph,
)
from simulator.workload.eager import EagerPhase, Family, dispatched, dispatched_calls, eager_family
from simulator.workload.fft import monarch

MODELS = {
    "llama": "llama-2-7b",
    "mistral": "mistral-7b",
    "falcon": "falcon-40b",
    "bloom": "bloom-176b",
    "gpt": "sparse-gpt-13b",
}
DOC = Path(__file__).parents[2] / "docs" / "eager.md"
FAMILIES = data.names("workloads/eager")


def graphs(model: Model) -> dict[EagerPhase, OperatorGraph]:
    return {
        "prefill": operator_graph(model, prefill(2, 8)),
        "decode": operator_graph(model, decode(2, 8)),
        "training": training_graph(model, prefill(2, 8)),
    }


def operator(name: str, kind: Any) -> Operator:
    return Operator(name, kind, 1.0, {}, "bf16")


# --- the lists add up


@pytest.mark.parametrize("family", MODELS)
def test_over_our_graphs_the_lists_add_up_to_what_was_measured(family: str) -> None:
    model = load_model(MODELS[family])
    found: Counter[tuple[str, str, bool]] = Counter()
    for phase, graph in graphs(model).items():
        for block in graph.blocks[:-1] if phase == "training" else graph.blocks:  # the optimizer's is apart
            for op in block.operators:
                gradient = op.name.endswith((".dgrad", ".wgrad", "sum"))
                part = phase if phase != "training" else "backward" if gradient else "forward"
                where = "layer" if block.repeat > 1 else "rest"
                for copies in (True, False):
                    found[part, where, copies] += dispatched(family, op, phase, copies=copies)
    measured = eager_family(family).measured
    assert set(measured) == {"prefill", "decode", "forward", "backward"}
    for part, counts in measured.items():
        for where in ("layer", "rest"):
            assert (found[part, where, True], found[part, where, False]) == getattr(counts, where), (part, where)


@pytest.mark.parametrize("family", MODELS)
def test_every_operator_of_its_model_has_a_list(family: str) -> None:
    known = eager_family(family).operators
    for graph in graphs(load_model(MODELS[family])).values():
        for op, _ in graph.operators():
            stem = _stem(op)
            assert stem in known or op.kind in known, op.name


@pytest.mark.parametrize("family", MODELS)
def test_every_list_is_for_an_operator_that_there_is(family: str) -> None:
    """A misspelt operator would be counted as one call, unseen."""
    there = [op for graph in graphs(load_model(MODELS[family])).values() for op, _ in graph.operators()]
    names = {op.kind for op in there} | {_stem(op) for op in there}
    own = yaml.safe_load((data.folder("workloads/eager") / f"{family}.yaml").read_text(encoding="utf-8"))
    assert set(own["operators"]) <= names


def test_an_rms_norm_is_six_calls_and_a_rotary_embedding_five() -> None:
    assert dispatched("llama", operator("ffn.norm", "norm"), "decode") == 6
    assert dispatched("llama", operator("attention.k_rope", "rope"), "decode") == 5
    assert dispatched("llama", operator("ffn.norm", "norm"), "decode", copies=True) == 8  # and a cast to fp32 and back


def test_the_cache_is_written_in_place_in_prefill_and_joined_in_decode() -> None:
    cache = operator("attention.cache", "cache")
    assert [dispatched("llama", cache, phase) for phase in ("prefill", "decode")] == [0, 2]


@pytest.mark.parametrize("placed", ["3.attention.q_rope", "1.0.attention.q_rope"])
def test_the_place_of_a_layer_changes_nothing(placed: str) -> None:
    alone = operator("attention.q_rope", "rope")
    assert dispatched("llama", operator(placed, "rope"), "decode") == dispatched("llama", alone, "decode") == 7


def test_the_phase_that_an_operator_serves_is_no_part_of_its_name() -> None:
    scores = [
        operator(f"attention.scores.{phase}{part}", "attention")
        for phase in ("prefill", "decode")
        for part in ("", ".dgrad")
    ]
    assert [dispatched("llama", op, "prefill") for op in scores] == [2, 3, 2, 3]


def test_partial_sums_and_sums_of_gradients_are_alike() -> None:
    assert [
        dispatched("llama", operator(f"attention.norm.{s}", "add"), "training") for s in ("sum", "partial_sum")
    ] == [2, 2]


def test_what_a_list_does_not_have_counts_one() -> None:
    assert dispatched("llama", operator("moe.route", "route"), "decode") == 1
    assert dispatched("llama", operator("moe.route.dgrad", "route"), "training") == 1


@pytest.mark.parametrize("family", MODELS)
def test_copies_only_add(family: str) -> None:
    for graph in graphs(load_model(MODELS[family])).values():
        assert dispatched_calls(graph) < dispatched_calls(graph, copies=True)


# --- whole passes


def test_a_pass_is_its_layers_and_the_rest(small: Callable[..., Model]) -> None:
    measured = eager_family("llama").measured
    for layers in (1, 3):
        model = small(family="llama", layers=layers)
        for phase, batch in (("prefill", prefill(2, 8)), ("decode", decode(2, 8))):
            counts = measured[phase]  # type: ignore[index]
            assert dispatched_calls(operator_graph(model, batch)) == layers * counts.layer[1] + counts.rest[1]


def test_layers_that_alternate_count_as_layers_that_do_not(small: Callable[..., Model]) -> None:
    attention = {"heads": 8, "kv_heads": 8, "head_dim": 8, "window": 4}
    one = small(family="llama", attention=attention)
    other = small(family="llama", attention={**attention, "window_pattern": [True, False]})
    assert dispatched_calls(operator_graph(one, prefill(1, 8))) == dispatched_calls(
        operator_graph(other, prefill(1, 8))
    )


def test_a_training_step_is_forward_backward_and_the_optimizer(small: Callable[..., Model]) -> None:
    model, measured = small(family="llama", layers=2), eager_family("llama").measured
    passes = [measured["forward"], measured["backward"]]
    expected = sum(2 * counts.layer[1] + counts.rest[1] for counts in passes)
    optimizer = dispatched("llama", operator("optimizer", "optimizer"), "training")
    assert dispatched_calls(training_graph(model, prefill(2, 8))) == expected + optimizer


def test_recomputed_layers_dispatch_their_forward_pass_twice(small: Callable[..., Model]) -> None:
    model = small(family="llama", layers=2)
    kept, again = (dispatched_calls(training_graph(model, prefill(2, 8), recompute=r)) for r in ("none", "layer"))
    forward = eager_family("llama").measured["forward"].layer[1]
    assert kept < again <= kept + 2 * forward


def test_a_graph_of_no_model_is_one_call_an_operator() -> None:
    assert dispatched_calls(monarch(count_scale=True)) == 4


def test_a_family_without_lists_is_named(small: Callable[..., Model]) -> None:
    with pytest.raises(ConfigError, match="mistral"):
        dispatched_calls(operator_graph(small(family="mistrall"), decode(1, 8)))


# --- the docs


@pytest.mark.parametrize("listed", FAMILIES)
def test_the_docs_show_the_lists(listed: str) -> None:
    raw = yaml.safe_load((data.folder("workloads/eager") / f"{listed}.yaml").read_text(encoding="utf-8"))
    base = raw.get("extends")
    title = f"### {listed}, extends {base}\n" if base else f"### {listed}\n"
    section = DOC.read_text(encoding="utf-8").split(title)[1].split("\n### ")[0]
    family = eager_family(listed)
    inherited = _rows(eager_family(base)) if base else set()
    shown = re.findall(r"^\| `(\S+)` \| (\w+) \| (\d+) \| (.*) \|$", section, re.MULTILINE)
    assert {(key, part, int(n), calls) for key, part, n, calls in shown} == _rows(family) - inherited


@pytest.mark.parametrize("family", MODELS)
def test_the_docs_show_what_was_measured(family: str) -> None:
    for part, m in eager_family(family).measured.items():
        row = f"| {family} | {part} | {m.layer[1]} ({m.layer[0]}) | {m.rest[1]} ({m.rest[0]}) |"
        assert row in DOC.read_text(encoding="utf-8")


def _rows(family: Family) -> set[tuple[str, str, int, str]]:
    return {
        (key, part, sum(c not in family.not_counted for c in calls), " ".join(f"`{c}`" for c in calls) or "none")
        for key, entry in family.operators.items()
        for part, calls in entry
        if calls is not None
    }


def _stem(op: Operator) -> str:
    return re.sub(r"\.(prefill|decode|dgrad|wgrad|sum|partial_sum)\b", "", op.name)
