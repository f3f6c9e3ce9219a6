"""What docs/extend.md adds works as it says, and the page has the files as they are."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import simulator
from simulator import registry
from simulator.core import closed_form
from simulator.core.residency import Residency, policy
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.dispatch import Route
from simulator.mapping.dispatch import policy as dispatch
from simulator.mapping.target import target
from simulator.mapping.two_engines.experts import split
from simulator.study.search import search
from simulator.study.search.seen import Indices
from simulator.study.space.columns import Columns
from simulator.validation.reproduction import compare_with_published
from simulator.workload import Batch, load_model, operator_graph
from simulator.workload.batch import Sequences

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLES = DOCS / "examples"
PLUGIN = EXAMPLES / "plugin"
LANGUAGE = {".py": "python", ".yaml": "yaml", ".toml": "toml"}
FILES = sorted(file for file in EXAMPLES.rglob("*") if file.suffix in LANGUAGE)


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for kind in registry.HOMES:  # ours are registered once, and stay
        registry.names(kind)
    monkeypatch.setattr(registry, "_registered", {kind: dict(known) for kind, known in registry._registered.items()})
    registry._load_plugins.cache_clear()
    yield
    registry._load_plugins.cache_clear()


@cache
def example(name: str) -> dict[str, Any]:
    """What a file of the examples defines; what it registers stays for the first test that asks for it."""
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(EXAMPLES).as_posix())
def test_the_page_has_the_file(file: Path) -> None:
    shown = f"```{LANGUAGE[file.suffix]}\n{file.read_text(encoding='utf-8')}```\n"
    assert f"`docs/examples/{file.relative_to(EXAMPLES).as_posix()}`:\n\n{shown}" in (DOCS / "extend.md").read_text(
        "utf-8"
    )


def test_the_page_shows_nothing_else() -> None:
    text = (DOCS / "extend.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^```\w", text, re.MULTILINE)) == len(FILES)


def test_mru_misses_less_than_lru_where_requests_go_round() -> None:
    example("residency")
    hits = {}
    for name in ("mru", "lru", "belady"):
        requests = list(range(6)) * 20
        cache = Residency(5, policy(name, requests), "cache")
        hits[name] = sum(cache.request(key, 1) for key in requests)
    assert hits["lru"] == 0
    assert hits["mru"] == hits["belady"] > 0


def test_each_step_alone_is_where_it_is_fastest() -> None:
    example("dispatch")
    route = layer("mixtral-8x7b", np.array([1.0, 64.0, 512.0]))
    fastest, high, low = (
        closed_form(route.plan(dispatch(name)(route))).time for name in ("fastest_alone", "xpu_only", "pim_only")
    )
    # Both engines read one memory, so that nothing is copied, and what is least a step is least in all.
    assert np.all(fastest <= np.minimum(high, low))
    assert np.any(fastest < np.minimum(high, low))


def test_a_kind_of_memory_is_read_as_its_figures_say() -> None:
    kind = "devices.soc.tiers.flash.kind"
    with pytest.raises(ConfigError, match="flash: found in a tier of kind 'cxl_flash', expected kind 'flash' or 'hbf'"):
        load_system("phone-ufs4", [f"{kind}=cxl_flash"])
    example("tier")
    own, flash = load_system("phone-ufs4", [f"{kind}=cxl_flash"]), load_system("phone-ufs4")
    assert own.tiers["soc.flash"].flash is not None
    assert own.tiers["soc.flash"].bandwidth == flash.tiers["soc.flash"].bandwidth
    with pytest.raises(
        ConfigError, match="flash: found in a tier of kind 'ddr', expected kind 'cxl_flash' or 'flash' or 'hbf'"
    ):
        load_system("phone-ufs4", [f"{kind}=ddr"])


def test_a_table_of_another_form_is_compared(tmp_path: Path) -> None:
    example("importer")
    file = tmp_path / "bench.csv"
    file.write_text("card,type,M,N,K,usec\nNVIDIA H100 80GB HBM3,bf16,8192,8192,8192,2000\n")
    (row,) = simulator.compare(file).rows.to_dict("records")
    assert (row["measured"], row["source"], row["class"]) == (2e-3, "bench", "gemm")
    file.write_text("card,type,M,N,K,usec\nNVIDIA H100 80GB HBM3,bf16,8192,8192,8192,soon\n")
    with pytest.raises(ConfigError, match=r"bench\.csv:2: usec: found 'soon'"):
        simulator.compare(file)


def test_requests_of_another_form_are_read(tmp_path: Path) -> None:
    example("requests")
    file = tmp_path / "calls.csv"
    file.write_text("call,ms,status,prompt,completion\na,500,200,10,2\nb,600,429,10,1\nc,1500,200,20,4\n")
    stream = simulator.load_requests(file)
    assert [(each.request_id, each.arrival_s, each.input_tokens) for each in stream] == [("a", 0, 10), ("c", 1, 20)]
    assert stream.left_out == {"calls that the gateway refused": 1}


def layer(model: str, sequences: float | np.ndarray) -> Route:
    """A decoder layer over sequences that decode, on the two engines of Duplex."""
    system = load_system("duplex-node")
    block = operator_graph(load_model(model), Batch([Sequences(sequences, 1, 1024.0)])).blocks[1]
    return Route((target(system, "xpu", "xpu"), target(system, "xpu", "pim")), block)


TIMES = arrays(np.float64, (2, 3, 5), elements=st.floats(0.0, 10.0, width=32))


@settings(max_examples=25)
@given(TIMES)
def test_a_split_ends_no_later_than_one_engine_alone_and_no_sooner_than_the_best(times: np.ndarray) -> None:
    counts = np.ones((3, 5), dtype=np.int64)
    chosen, best = (share(counts, *times) for share in (example("split")["longest_first"], split("exact")))
    assert np.all(longer(chosen, *times) <= times.sum(axis=-1).min(axis=0) * (1 + 1e-9))
    assert np.all(longer(chosen, *times) >= longer(best, *times) * (1 - 1e-9))


def longer(on_other: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Seconds until both engines are done."""
    return np.maximum(np.where(on_other, 0.0, one).sum(axis=-1), np.where(on_other, other, 0.0).sum(axis=-1))


def test_a_block_in_one_kernel_moves_and_waits_less() -> None:
    example("engine")
    whole, kernels = (simulator.estimate(machine, "llama-2-7b") for machine in (EXAMPLES / "engine.yaml", "dgx-a100"))
    assert whole.tbt_s < kernels.tbt_s
    assert whole.tbt_s > 13.5e9 / 8 / 2.039e12  # its weights from the memories of eight devices at their peak


class Bowl:
    """A space of 20 x 30 levels whose one objective is least at (7, 21)."""

    sizes = (20, 30)

    def at(self, indices: Indices) -> Columns:
        return {"x": indices[:, 0], "y": indices[:, 1]}

    def evaluate(self, columns: Columns) -> Columns:
        return {"cost": (columns["x"] - 7.0) ** 2 + (columns["y"] - 21.0) ** 2}


def test_a_search_along_the_axes_ends_in_the_bowl() -> None:
    example("search")
    bowl = Bowl()
    found = [search(bowl, bowl.evaluate, {"cost": "min"}, method="axis_by_axis", evaluations=90) for _ in range(2)]
    assert np.array_equal(found[0].indices, found[1].indices)
    assert found[0].values.min() == 0.0


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of the example as pip would leave it: its modules, and metadata with its entry point."""
    copytree(PLUGIN / "tiersim_example", tmp_path / "tiersim_example")
    about = tmp_path / "tiersim_example-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiersim-example\nVersion: 0.1.0\n")
    group = re.search(r'entry-points\."(.+)"\]\n((?:.+\n)+)', (PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))
    assert group
    (about / "entry_points.txt").write_text(f"[{group[1]}]\n{group[2]}".replace('"', ""))
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_a_package_is_loaded_when_a_name_is_not_ours() -> None:
    assert "tiersim-example" in {point.dist.name for point in metadata.entry_points(group=registry.ENTRY_POINTS)}
    requests = "abacadae"
    cache = Residency(2, policy("lru_2", []), "cache")
    assert [cache.request(key, 1) for key in requests] == [False, False, True, False, True, False, True, False]
    route = layer("llama-3-8b", 8.0)
    inside = {
        unit.name
        for step, choice in zip(route.steps, dispatch("attention_in_memory")(route), strict=True)
        for unit, engine in zip(step, route.options(step)[int(choice)], strict=True)
        if route.engines[engine].description.in_memory
    }
    assert inside
    assert all(name.startswith("attention.") and name.endswith(".decode") for name in inside), inside


def test_a_copy_takes_its_bytes_over_the_narrowest_link() -> None:
    example("evaluator")
    asked = {"workload": {"kind": "copies", "target": "gpu.hbm", "bytes": "8 GB"}, "hardware": "dgx-h100"}
    once = simulator.evaluate(asked).metrics
    system = load_system("dgx-h100")
    widest = min(float(system[f"{a}->{b}"].capacity) * system[f"{a}->{b}"].count for a, b in [("host", "gpu.hbm")])
    assert 0 < once["bandwidth"] <= widest
    twice = simulator.evaluate({**asked, "workload": {**asked["workload"], "bytes": "16 GB"}}).metrics
    assert once["time_s"] < twice["time_s"] <= 2 * once["time_s"]
    with pytest.raises(ConfigError, match=r"^mapping\.dtype: a workload of kind 'copies' does not read it"):
        simulator.evaluate({**asked, "mapping": {"dtype": "fp8"}})


def test_a_chart_of_its_own_kind_is_drawn(tmp_path: Path) -> None:
    from simulator.report.shown import drawn

    example("chart")
    study = tmp_path / "experiment.yaml"
    study.write_text(
        "schema: 1\nbase: {hardware: dgx-h100, model: llama-3-8b, workload: {phase: decode}}\n"
        "axes: {workload.batch: [1, 2, 4]}\ncharts: {all: {kind: spread, of: tbt_s}}\n"
    )
    (chart,) = drawn(compare_with_published(study))
    assert chart.name == "all"
    x, y = chart.figure.axes[0].lines[0].get_data()
    assert len(x) == 3 and (np.diff(x) >= 0).all() and y[-1] == 1
