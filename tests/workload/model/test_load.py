"""Models by name and by path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.config import load
from simulator.config.path import replaced
from simulator.config.plausible import figures
from simulator.data import folder
from simulator.errors import ConfigError, unwarned
from simulator.workload import load_model, parameters

MODELS = folder("workloads/models")
LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
}

PEOPLE_TYPE = """
    llama-2-7b llama-2-13b llama-2-70b llama-3-8b llama-3-70b llama-3.1-8b llama-3.1-70b llama-3.1-405b mistral-7b
    mixtral-8x7b mixtral-8x22b qwen2-7b qwen2-57b-a14b qwen3-8b qwen3-30b-a3b falcon-7b falcon-40b opt-6.7b opt-66b
    bloom-176b deepseek-v3 grok-1 glam-143b phi-2 persimmon-8b llava-1.5-7b
"""


SHAPE_NOT_PUBLISHED = {"sparse-gpt-13b"}


def test_the_names_that_people_type_are_shipped() -> None:
    assert set(PEOPLE_TYPE.split()) <= {file.stem for file in MODELS.glob("*.yaml")}


def test_a_shipped_model_is_named_after_its_file_and_has_sources(name: str) -> None:
    model = load_model(name)
    assert model.name == name
    assert model.source
    config = load(name, "workloads/models")
    for key in ("layers", "hidden", "vocab", "attention", "moe" if model.moe else "ffn"):
        source = config.source(key)
        assert source is not None and source.text
        assert source.role == ("assumption" if name in SHAPE_NOT_PUBLISHED else "input")
    if model.published:
        assert config.source("published", "parameters") is not None


def test_a_path_is_the_same_as_its_name() -> None:
    assert load_model(MODELS / "llama-2-7b.yaml") == load_model("llama-2-7b")


def test_overrides_change_the_model() -> None:
    model = load_model("llama-2-7b", ["layers=16", "dtypes.weights=fp8", "attention.window=1024"])
    assert (model.layers, model.dtypes.weights, model.attention.window) == (16, "fp8", 1024)


def test_a_config_json_is_read_by_path_or_folder(tmp_path: Path) -> None:
    mine = tmp_path / "my-llama"
    mine.mkdir()
    file = mine / "config.json"
    file.write_text(json.dumps(LLAMA, indent=2))
    for path in (file, mine, str(mine)):
        model = load_model(path)
        assert model.name == "my-llama"
        assert model.source.endswith("config.json")
        assert parameters(model).total == 8_030_261_248
    assert load_model(mine, ["num_hidden_layers=16"]).layers == 16
    other = tmp_path / "small.json"
    file.rename(other)
    assert load_model(other).name == "small"


def test_an_unknown_name_has_a_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'llama-2-7b'"):
        load_model("llama2-7b")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("layers: many", "layers: found 'many'"),
        ("layer: 4", "did you mean 'layers'"),
        ("attention: {heads: 6, kv_heads: 4, head_dim: 8}", "6 heads do not share 4 kv_heads"),
        ("positions: {kind: rop}", "did you mean 'rope'"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: llama-2-7b\nname: mine\n{line}\n")
    with pytest.raises(ConfigError) as error:
        load_model(file)
    assert "mine.yaml:3" in str(error.value)
    assert says in str(error.value)


def test_a_mistake_in_a_config_json_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(LLAMA | {"vocab_size": -1}, indent=2))
    with pytest.raises(ConfigError, match=r"config\.json:8: vocab_size: found -1"):
        load_model(file)
    file.write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json"):
        load_model(file)


@given(st.data())
@settings(max_examples=10)
def test_a_figure_that_is_replaced_is_one_that_is_loaded_so(drawn: st.DataObject) -> None:
    """Or it is refused in the same words, less the file that it does not stand in."""
    name = drawn.draw(st.sampled_from(sorted(file.stem for file in MODELS.glob("*.yaml"))))
    model = load_model(name)
    one = drawn.draw(st.sampled_from([each for each in figures(model) if all(type(key) is str for key in each.path)]))
    path, factor = ".".join(map(str, one.path)), drawn.draw(st.sampled_from([0.5, 1, 2]))
    value = one.value * factor if one.unit else max(int(one.value * factor), 1)
    with unwarned():
        try:
            loaded = load_model(name, [f"{path}={value!r}"])
        except ConfigError as error:
            with pytest.raises(ConfigError) as caught:
                replaced(model, {path: value})
            assert str(error).endswith(str(caught.value))
            return
    other = replaced(model, {path: value})
    for unset in (False, True):
        assert other.model_dump(exclude_unset=unset) == loaded.model_dump(exclude_unset=unset)


def test_figures_of_a_config_json_are_replaced_by_the_names_that_ours_have(tmp_path: Path) -> None:
    """Nothing reads them as overrides of the file."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    half = replaced(load_model(tmp_path), {"layers": 16, "attention.kv_heads": 4})
    assert (half.layers, len(half.decoder), half.attention.kv_heads) == (16, 16, 4)
