"""Figures of another size than any shipped file has are warned about, and no others.

Run as a program, this file writes the table of shipped figures anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from simulator import data, load_model, load_system
from simulator.config.plausible import FACTOR, TABLE, Figure, Form, figures, ranges, shipped, written
from simulator.errors import ConfigError, TiersimWarning, dotted
from simulator.hardware.cost import load_costs
from simulator.mapping.runtime.form import load_runtime
from simulator.units import TABLE as UNITS
from simulator.units import parse

LOADS: dict[Form, tuple[str, Any]] = {
    "machine": ("hwconfigs", lambda *given: load_system(*given).machine),
    "model": ("workloads/models", load_model),
    "cost table": ("hwconfigs/costs", lambda *given: load_costs(*given).table),
    "runtime": ("hwconfigs/runtimes", lambda *given: load_runtime(*given).runtime),
}
FILES = [(form, name) for form, (folder, _) in LOADS.items() for name in data.names(folder)]


def parts() -> Iterator[tuple[Form, BaseModel]]:
    yield from ((form, LOADS[form][1](name)) for form, name in FILES)


def told(form: Form, name: str, *overrides: str) -> list[ConfigError]:
    """What is warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TiersimWarning)
        LOADS[form][1](name, overrides)
    return [each.message.problem for each in caught if isinstance(each.message, TiersimWarning)]


@pytest.mark.filterwarnings("ignore::simulator.errors.TiersimWarning")
def test_the_table_is_what_the_shipped_files_give() -> None:
    assert TABLE.read_text(encoding="utf-8") == written(ranges(parts()))


@pytest.mark.parametrize(("form", "name"), FILES, ids=str)
def test_no_shipped_file_is_warned_of(form: Form, name: str) -> None:
    assert told(form, name) == []


@cache
def of_file(form: Form, name: str) -> list[Figure]:
    """Figures that stand in the file, as an override may replace them."""
    return list(figures(LOADS[form][1](name)))


@given(st.sampled_from(FILES), st.integers(min_value=0), st.floats(-8, 8))
def test_a_figure_is_warned_of_where_it_is_far_from_all_shipped_ones(
    file: tuple[Form, str], place: int, magnitude: float
) -> None:
    form, name = file
    every = of_file(form, name)
    assume(every)
    figure = every[place % len(every)]
    whole = figure.unit is None and figure.value.is_integer()
    value = figure.value * 10.0**magnitude
    value = max(round(value), 1) if whole else value
    try:
        problems = told(form, name, f"{dotted(figure.path)}={value!r}")
    except ConfigError:
        assume(False)  # it contradicts another figure, or cannot be at all
    known = shipped().get((form, figure.name)) or shipped().get((form, figure.pooled))
    far = known is not None and not known[0] / FACTOR <= value <= known[1] * FACTOR
    assert any(each.path == figure.path and "as shipped" in str(each.expected) for each in problems) == far


WITH_UNITS = [(form, name) for form, name in FILES if form == "machine"]


@given(st.sampled_from(WITH_UNITS), st.integers(min_value=0), st.sampled_from([1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9]))
def test_the_unit_that_was_meant_makes_the_figure_of_a_shipped_size(
    file: tuple[Form, str], place: int, factor: float
) -> None:
    form, name = file
    every = [each for each in of_file(form, name) if each.unit in ("B", "B/s", "FLOP/s", "s", "J/B", "J/FLOP", "W")]
    figure = every[place % len(every)]
    assert figure.unit
    units = {text: float(worth) for text, (si, worth) in UNITS.items() if si == figure.unit}
    right = next((text for text, worth in units.items() if 1 <= figure.value / worth < 1000), "")
    wrong = next((text for text, worth in units.items() if worth == units.get(right, 0.0) * factor), "")
    assume(right and wrong)
    number = f"{figure.value / units[right]:.6g}"
    try:
        problems = told(form, name, f"{dotted(figure.path)}={number} {wrong}")
    except ConfigError:
        assume(False)
    for each in problems:
        if each.path == figure.path and "as shipped" in str(each.expected):
            assert each.found == f"{number} {wrong}"
            assert each.nearest is not None
            least, most = shipped().get((form, figure.name)) or shipped()[form, figure.pooled]
            assert least / 3 <= parse(each.nearest, figure.unit) * (1 + 1e-12) <= most * 3.001


def test_a_bandwidth_without_its_prefix_is_told_with_it() -> None:
    (problem,) = told("machine", "dgx-h100", "devices.gpu.tiers.hbm.bandwidth=3 B/s")
    assert str(problem) == (
        "--set: devices.gpu.tiers.hbm.bandwidth: found 3 B/s, expected about 819 GB/s to 8 TB/s, "
        "as shipped machines have; did you mean '3 TB/s'?"
    )


@pytest.mark.parametrize(
    ("form", "name", "override", "nearest"),
    [
        ("runtime", "gpu-libraries", "by_device.any.engines.gpu.launch=3 s", "3 us"),
        ("machine", "dgx-h100", "devices.gpu.tiers.hbm.energy=3.9 J/B", "3.9 pJ/bit"),
        ("machine", "dgx-h100", "links.gpu<->gpu.bandwidth=450 B/s", "450 GB/s"),
        ("machine", "dgx-h100", "devices.gpu.engines.gpu.peak.bf16=989 MFLOP/s", "989 TFLOP/s"),
        ("model", "llama-3-8b", "vocab=128", None),
        ("cost table", "silicon", "processes.N5.wafer_price=17 USD", None),
    ],
)
def test_figures_of_each_form_are_told(form: Form, name: str, override: str, nearest: str | None) -> None:
    problems = told(form, name, override)
    assert [each.nearest for each in problems] == [nearest]
    assert dotted(problems[0].path or ()) == override.partition("=")[0]


def test_zero_is_no_size() -> None:
    assert told("machine", "dgx-h100", "devices.gpu.engines.gpu.launch_overhead=0 s", "links.gpu<->gpu.energy=0") == []


def test_a_model_of_hugging_face_is_told_with_its_file(tmp_path) -> None:
    file = tmp_path / "config.json"
    file.write_text(
        '{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 32, "hidden_size": 4096,'
        ' "num_attention_heads": 32, "intermediate_size": 11008, "vocab_size": 900000000, "hidden_act": "silu",'
        ' "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "torch_dtype": "bfloat16"}'
    )
    (problem,) = told("model", str(file))
    assert (problem.file, problem.path) == (file, ("vocab",))


if __name__ == "__main__":
    TABLE.write_text(written(ranges(parts())), encoding="utf-8")
