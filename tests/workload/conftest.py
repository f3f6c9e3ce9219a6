"""Shipped models, and small ones that differ from a plain transformer in what a test is about."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from simulator.workload import Model, load_model

MODELS = Path(__file__).parents[2] / "workloads" / "models"

Build = Callable[..., Model]


@pytest.fixture(scope="session")
def shipped() -> Callable[[str], Model]:
    """A shipped model by name."""
    return cache(load_model)


@pytest.fixture(scope="session")
def small() -> Build:
    """A model of 4 small layers; keywords replace its sections, or keys of a section that is a mapping."""

    def build(**changes: Any) -> Model:
        data: dict[str, Any] = {
            "name": "small",
            "family": "test",
            "layers": 4,
            "hidden": 64,
            "vocab": 100,
            "max_context": 512,
            "attention": {"heads": 8, "kv_heads": 2, "head_dim": 8},
            "ffn": {"intermediate": 96, "matrices": 3, "activation": "silu"},
            "norm": {"kind": "rms"},
            "positions": {"kind": "rope"},
        }
        for section, change in changes.items():
            there = data.get(section)
            data[section] = there | change if isinstance(there, dict) and isinstance(change, dict) else change
        return Model.model_validate(data)

    return build


MOE = {"experts": 8, "top_k": 2, "intermediate": 32, "matrices": 3, "activation": "silu"}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sparse": {"weight_density": 0.25},
    "multi-query": {"attention": {"kv_heads": 1}},
    "biased, two matrices": {
        "attention": {"qkv_bias": True, "output_bias": True},
        "ffn": {"matrices": 2, "activation": "gelu", "bias": True},
        "norm": {"kind": "layer", "bias": True},
    },
    "fused projection": {"attention": {"fused_qkv": True, "kv_heads": 8}, "positions": {"kind": "alibi"}},
    "query and key norms": {"attention": {"qk_norm": True}},
    "window": {"attention": {"window": 16}},
    "every other layer windowed": {"attention": {"window": 16, "window_pattern": [True, False]}},
    "parallel, one norm": {"parallel": True, "norm": {"kind": "layer", "bias": True, "per_layer": 1}},
    "parallel, two norms": {"parallel": True},
    "four norms, embedding norm": {"norm": {"per_layer": 4, "embedding": True}},
    "learned positions, tied": {"positions": {"kind": "learned", "count": 512, "offset": 2}, "tied_embeddings": True},
    "biased head": {"lm_head_bias": True, "positions": {"kind": "relative"}},
    "experts": {"moe": MOE, "ffn": None},
    "every other layer experts": {"moe": MOE | {"every": 2}},
    "shared experts after dense layers": {
        "moe": MOE | {"first_layer": 1, "shared_intermediate": 48, "shared_gate": True, "router_bias": True}
    },
    "experts of two matrices": {"moe": MOE | {"matrices": 2}, "ffn": None},
    "latent attention": {
        "attention": {
            "kv_heads": 8,
            "head_dim": 12,
            "mla": {
                "kv_lora_rank": 16,
                "q_lora_rank": 24,
                "qk_nope_head_dim": 8,
                "qk_rope_head_dim": 4,
                "v_head_dim": 8,
            },
        }
    },
    "latent attention, plain queries": {
        "attention": {
            "kv_heads": 8,
            "head_dim": 12,
            "mla": {"kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6},
        }
    },
}


@pytest.fixture(scope="session", params=VARIANTS.values(), ids=VARIANTS.keys())
def variant(request: pytest.FixtureRequest, small: Build) -> Model:
    """Each kind of model that the workload can express."""
    return small(**request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`name` is the name of each shipped model."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", sorted(file.stem for file in MODELS.glob("*.yaml")))
