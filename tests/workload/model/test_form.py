"""The shape of a model: what it derives, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from simulator.workload import Model


@pytest.mark.parametrize(("kv_heads", "kind"), [(8, "mha"), (2, "gqa"), (1, "mqa")])
def test_the_kind_of_attention_follows_from_kv_heads(small: Any, kv_heads: int, kind: str) -> None:
    assert small(attention={"kv_heads": kv_heads}).attention.kind == kind


def test_experts_stand_in_the_layers_that_the_section_says(small: Any) -> None:
    moe = {"experts": 4, "top_k": 1, "intermediate": 8, "matrices": 2, "activation": "relu"}
    assert [layer.moe for layer in small(moe=moe).decoder] == [True] * 4
    assert [layer.moe for layer in small(moe=moe | {"first_layer": 3}).decoder] == [False] * 3 + [True]
    assert [layer.moe for layer in small(moe=moe | {"every": 2}).decoder] == [True, False] * 2
    assert [layer.moe for layer in small(moe=moe | {"every": 2, "first_layer": 1}).decoder] == [False, True] * 2


def test_a_window_pattern_is_repeated_over_the_layers(small: Any) -> None:
    model = small(layers=5, attention={"window": 7, "window_pattern": [True, True, False]})
    assert [layer.window for layer in model.decoder] == [7, 7, None, 7, 7]


SPACE = {"kind": "mamba2", "inner": 64, "state": 16, "heads": 8}


def test_several_mixers_of_a_layer_are_joined_by_a_plus(small: Any) -> None:
    (layer, number), *others = small(space=SPACE, pattern=["attention+space ffn"]).kinds
    assert (number, others, layer.parts, layer.kind) == (4, [], 2, "attention+space ffn")
    assert [type(mixer).__name__ for mixer in layer.mixers] == ["Attention", "StateSpace"]
    for wrong in ("attention+attention ffn", "attention+linear ffn", "ffn+space", "attention+ ffn", "space attention"):
        with pytest.raises(ValidationError, match="expected one of attention, space, ffn"):
            small(space=SPACE, pattern=[wrong])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"attention": {"kv_heads": 3}}, "8 heads do not share 3 kv_heads"),
        ({"attention": {"heads": 0}}, "greater than or equal to 1"),
        ({"attention": {"heads": True}}, "valid integer"),
        ({"attention": {"head": 8}}, "Extra inputs"),
        ({"layers": 4.0}, "valid integer"),
        ({"ffn": {"matrices": 4}}, "2 or 3"),
        ({"ffn": None}, "ffn"),
        ({"norm": {"per_layer": 1}}, "parallel"),
        ({"norm": {"per_layer": 4}, "parallel": True}, "1 or 2 norms"),
        ({"positions": {"kind": "learned"}}, "count"),
        ({"positions": {"count": 5}}, "count"),
        ({"dtypes": {"weights": "fp7"}}, "fp8"),
        (
            {"moe": {"experts": 2, "top_k": 3, "intermediate": 8, "matrices": 2, "activation": "relu"}},
            "top_k 3 of 2 experts",
        ),
        (
            {
                "moe": {
                    "experts": 2,
                    "top_k": 1,
                    "intermediate": 8,
                    "matrices": 2,
                    "activation": "relu",
                    "first_layer": 4,
                }
            },
            "beyond the 4 layers",
        ),
    ],
)
def test_what_cannot_be_is_refused(small: Any, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        small(**changes)


def test_nothing_changes_once_it_is_read_and_it_writes_itself_back(variant: Model) -> None:
    with pytest.raises(ValidationError):
        variant.layers = 5  # type: ignore[misc]
    assert Model.model_validate(variant.model_dump()) == variant
