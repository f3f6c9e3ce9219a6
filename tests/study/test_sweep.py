from textwrap import dedent

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.study.checked import load_sweep

HBM = "hardware.devices.gpu.tiers.hbm"
WHOLE = f"""
    schema: 1
    title: bandwidth and batch
    base:
      hardware: {{extends: dgx-h100, devices.gpu.tiers.hbm.latency: 1 us}}
      model: llama-3.1-8b
      costs: silicon
      workload: {{phase: decode, batch: 8, input: 1024, output: 256}}
      mapping: {{devices: 8, dtype: bf16, memory: null}}
    axes:
      {HBM}.bandwidth: {{geomspace: [1 TB/s, 8 TB/s, 4], name: hbm}}
      workload.batch: [1, 8, 64]
      hardware.devices.gpu.count: {{range: [1, 9]}}
      model: [llama-3.1-8b, mixtral-8x7b]
      mapping.fusion: {{values: [unfused, conventional], when: "model == 'llama-3.1-8b'"}}
    zip:
      - {{{HBM}.capacity: [64 GB, 96 GB], {HBM}.energy: [4 pJ/bit, 3.9 pJ/bit]}}
    derived: {{hbm_tb_s: hbm / 1e12, twice: 2 * hbm_tb_s + area_m2, one: 1}}
    constraints: ["area_m2 <= 800", "tbt_s <= 0.05 and twice > capacity"]
    objectives: {{tokens_per_s: max, twice: min}}
"""
BASE = "base: {hardware: dgx-h100, model: llama-3.1-8b}\n"


@pytest.fixture
def write(tmp_path):
    def written(text):
        file = tmp_path / "sweep.yaml"
        file.write_text(dedent(text))
        return file

    return written


@pytest.fixture
def load(write):
    return lambda text, *overrides: load_sweep(write(text), overrides)[0]


@pytest.fixture
def message(load):
    def said(text, *overrides):
        with pytest.raises(ConfigError) as raised:
            load(text, *overrides)
        return str(raised.value).partition("sweep.yaml:")[2] or str(raised.value)

    return said


def axes(load, *lines):
    return load(BASE + "axes:\n" + "".join(f"  {line}\n" for line in lines)).axes


def test_a_whole_sweep_is_read(load):
    sweep = load(WHOLE)
    assert sweep.title == "bandwidth and batch"
    assert len(sweep.space) == 2 * 4 * 3 * 8 * 3
    assert list(sweep.space.aliases.values()) == ["capacity", "energy", "hbm", "batch", "count", "model", "fusion"]
    assert sweep.axes[f"{HBM}.bandwidth"].values.tolist() == pytest.approx([1e12, 2e12, 4e12, 8e12])
    assert sweep.axes[f"{HBM}.bandwidth"].unit == "B/s"
    assert sweep.axes[f"{HBM}.energy"].values == pytest.approx([3.2e-11, 3.12e-11])
    assert sweep.axes["hardware.devices.gpu.count"].values.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert sweep.axes["workload.batch"].unit is None
    last = sweep.space.columns(len(sweep.space) - 3, len(sweep.space))
    assert last["model"].tolist() == ["llama-3.1-8b", "llama-3.1-8b", "mixtral-8x7b"]
    assert last["mapping.fusion"].tolist() == ["unfused", "conventional", None]
    assert {name: each.text for name, each in sweep.derived.items()}["hbm_tb_s"] == "hbm / 1e12"
    assert sweep.constraints[0].text == "area_m2 <= 800"
    assert sweep.objectives == {"tokens_per_s": "max", "twice": "min"}
    assert sweep.base.hardware == {"extends": "dgx-h100", "devices.gpu.tiers.hbm.latency": "1 us"}
    assert (sweep.base.model, sweep.base.workload.input, sweep.base.mapping.devices) == ("llama-3.1-8b", 1024, 8)


def test_the_command_line_sets_what_it_wants(load):
    sweep = load(WHOLE, "axes.workload.batch=[2, 4]", "axes.hardware.devices.gpu.count=null", "base.model=mistral-7b")
    assert sweep.axes["workload.batch"].values.tolist() == [2, 4]
    assert "hardware.devices.gpu.count" not in sweep.axes
    assert sweep.base.model == "mistral-7b"


def test_values_come_from_lists_ranges_and_steps(load):
    found = axes(
        load,
        "hardware.devices.gpu.count: {range: [8, 0, -2]}",
        f"{HBM}.bandwidth: {{range: [1 TB/s, 2 TB/s, 500 GB/s]}}",
        f"{HBM}.latency: {{linspace: [0, 1 us, 3]}}",
        "hardware.devices.gpu.engines.gpu.efficiency: {range: [0.1, 0.4, 0.1]}",
        "workload.input: {geomspace: [1, 1024, 11]}",
        "workload.output: {linspace: [1, 9, 5]}",
        "hardware.links.host<->gpu.hbm.parallel: {values: [4, 8]}",
        "hardware.devices.gpu.engines.gpu.peak.bf16: [1 PFLOP/s, 2e15]",
        "mapping.tensor: [null, 4]",
        f"{HBM}.full_duplex: [false, true]",
    )
    values = {path: axis.values for path, axis in found.items()}
    assert values["hardware.devices.gpu.count"].tolist() == [8, 6, 4, 2]
    assert values[f"{HBM}.bandwidth"].tolist() == [1e12, 1.5e12]
    assert values[f"{HBM}.latency"].tolist() == [0, 5e-7, 1e-6]
    assert values["hardware.devices.gpu.engines.gpu.efficiency"] == pytest.approx([0.1, 0.2, 0.3])
    assert values["workload.input"].tolist() == [2**i for i in range(11)]
    assert values["workload.output"].tolist() == [1, 3, 5, 7, 9]
    assert values["workload.output"].dtype == np.int64
    assert values["hardware.links.host<->gpu.hbm.parallel"].tolist() == [4, 8]
    assert values["hardware.devices.gpu.engines.gpu.peak.bf16"].tolist() == [1e15, 2e15]
    np.testing.assert_array_equal(values["mapping.tensor"], [np.nan, 4.0])
    assert values[f"{HBM}.full_duplex"].dtype == bool


def test_names_are_the_last_key_or_the_whole_path(load):
    found = axes(
        load,
        f"{HBM}.bandwidth: [1 TB/s]",
        "hardware.links.host<->gpu.hbm.bandwidth: [1 TB/s]",
        f"{HBM}.capacity: [64 GB]",
        "hardware.tiers.host.capacity: {values: [1 TB], name: host}",
        "model.layers: [16, 32]",
    )
    assert [axis.name for axis in found.values()] == [
        "hardware_devices_gpu_tiers_hbm_bandwidth",
        "hardware_links_host_gpu_hbm_bandwidth",
        "capacity",
        "host",
        "layers",
    ]


def test_elsewhere_an_axis_is_as_the_base_has_it(load):
    batch = "workload.batch: {values: [1, 8], name: b}"
    found = axes(load, batch, f"{HBM}.capacity: {{values: [64 GB], when: b > 1}}")
    assert found[f"{HBM}.capacity"].otherwise == 81559 * 2**20
    sweep = load(
        """
        base: {model: llama-3.1-8b}
        axes:
          hardware: [dgx-h100, sn40l]
          hardware.devices.gpu.tiers.hbm.bandwidth: {values: [1 TB/s, 2 TB/s], when: hardware == 'dgx-h100'}
        """
    )
    bandwidth = sweep.space.columns(0, 5)["hardware.devices.gpu.tiers.hbm.bandwidth"]
    np.testing.assert_array_equal(bandwidth, [1e12, 2e12, np.nan])


AXIS = BASE + "axes:\n  "  # whose first axis stands in line 3
BW, LAT = f"{HBM}.bandwidth", f"{HBM}.latency"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AXIS + "hardwar.devices.gpu.count: [1]", '3: axes."hardwar.devices.gpu.count": unknown path'),
        (AXIS + "hardwar.devices.gpu.count: [1]", "did you mean 'hardware'?"),
        (AXIS + "tiers.hbm.bandwidth: [1]", "expected a path from one of hardware, model, sized, mapping"),
        (AXIS + f"{HBM}.bandwith: [1 TB/s]", "found 'bandwith', expected one of bandwidth, bus"),
        (AXIS + f"{HBM}.bandwith: [1 TB/s]", "did you mean 'bandwidth'?"),
        (AXIS + f"{HBM}: [1 TB/s]", "found a section, expected a figure of it: one of bandwidth"),
        (AXIS + f"{HBM}.bandwidth.fast: [1 TB/s]", "no such figure: found 'fast', expected no further key"),
        (AXIS + "workload.bacth: [1]", "no such figure: found 'bacth', expected one of batch, input, kind, output"),
        (AXIS + "workload: [1]", "found a section"),
        (AXIS + "model.layer: [1]", "no such figure: found 'layer'"),
        (AXIS + "mapping.fussion: [unfused]", "did you mean 'fusion'?"),
        (AXIS + "hardware: [dgx-h10]", "3: axes.hardware.0: nothing in hwconfigs has this name: found 'dgx-h10'"),
        (AXIS + "hardware: {values: [sn40l, dgx-h10]}", "3: axes.hardware.values.1: nothing in hwconfigs"),
        (AXIS + f"{BW}: [1]\n  hardware: {{range: [1, 2]}}", "4: axes.hardware: names: expected a list"),
        (AXIS + "hardware: [3]", "3: axes.hardware.0: found 3, expected text"),
        (AXIS + "workload.batch: []", '3: axes."workload.batch": '),
        (AXIS + "workload.batch: {values: []}", '3: axes."workload.batch".values: '),
        (
            AXIS + "workload.batch: {range: [4, 4]}",
            '3: axes."workload.batch".range: an empty axis: found 4 to before 4',
        ),
        (AXIS + "workload.batch: {range: [4, 8, 0]}", "range.2: found a step of 0, expected another"),
        (AXIS + "workload.batch: {range: [1, 4.5, 1.5]}", "found 2.5 among its values, expected whole numbers"),
        (AXIS + f"{LAT}: {{range: [0, 1, 1e-30]}}", "values, expected at most 10,000,000"),
        (AXIS + "workload.batch: {linspace: [1, 1e30, 2]}", "found 1e+30, expected a whole number"),
        (AXIS + "workload.batch: {range: [0, 4]}", "found 0, expected at least 1"),
        (AXIS + "workload.batch: {geomspace: [1, 5, 3]}", "found 2.23607 among its values, expected whole numbers"),
        (AXIS + "workload.batch: {range: [1, 5], values: [1]}", "found values and range, expected one of values"),
        (AXIS + "workload.batch: {name: b}", "found none, expected one of values, range, linspace, geomspace"),
        (AXIS + "workload.batch: {step: [1]}", 'axes."workload.batch".step: unknown key'),
        (AXIS + "workload.batch: [1, 8, 1]", '3: axes."workload.batch".2: a value that is there already: found 1'),
        (AXIS + "workload.batch: [1, 2.5]", "found 2.5, expected a whole number"),
        (AXIS + "workload.batch: [1, 0]", '3: axes."workload.batch".1: found 0, expected at least 1'),
        (AXIS + "workload.phase: [decod]", "one of prefill, decode, request; did you mean 'decode'?"),
        (AXIS + "workload.phase: {range: [1, 4]}", "it is no number: found 'range', expected a list"),
        (AXIS + f"{LAT}: {{geomspace: [0, 1 us, 5]}}", "geometric steps: found 0 to 1e-06"),
        (AXIS + f"{LAT}: {{linspace: [1 us, 1 us, 5]}}", "steps between equal ends: found 5 values"),
        (AXIS + f"{LAT}: {{linspace: [0, 1 us, 99999999]}}", "found 99,999,999 values, expected at most 10,"),
        (AXIS + f"{BW}: [1 TB/s, 2 TB]", f"3: axes.\"{BW}\".1: found '2 TB', expected a bandwidth"),
        (AXIS + f"{BW}: [1 TB/s, 2 TB]", "did you mean '2 TB/s'?"),
        (AXIS + f"{BW}: {{linspace: [1 TB/s, 2 s, 3]}}", f"axes.\"{BW}\".linspace.1: found '2 s'"),
        (
            BASE + "axes: {workload.batch: [1, 8]}\nzip: [{workload.batch: [1, 8], workload.input: [1, 8]}]",
            '2: axes."workload.batch": an axis that is there already',
        ),
        (
            BASE.replace("}", ", mapping: {devices: 2}}") + "axes: {mapping.devices: [4, null]}",
            '2: axes."mapping.devices".1: found null, where the base has 2, expected a value; or none in the base',
        ),
        (AXIS + f"{HBM}.energy: [null, 4 pJ/bit]", "found null, where the base has"),
        (AXIS + "workload.batch: {range: [1]}", "found 1 items, expected 2 or more"),
        (BASE, "axes: nothing varies: expected a path and its values"),
        ("axes: {workload.batch: [1]}", "base.hardware: missing key: expected a name or a path"),
        ("base: {hardware: dgx-h100}\naxes: {workload.batch: [1]}", "1: base.model: missing key"),
        ("base: {hardware: dgx}\naxes: {workload.batch: [1]}", "1: base.hardware: nothing in hwconfigs has this name"),
    ],
)
def test_a_wrong_axis_is_told_with_its_place(message, text, said):
    assert said in message(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "zip: [{workload.batch: [1, 8], workload.input: [1, 8, 9]}]",
            "2: zip.0: axes that move together: found 2, 3 values, expected as many for each",
        ),
        (
            "zip: [{workload.batch: [1, 8]}, {workload.batch: [1, 9]}]",
            'zip.1."workload.batch": an axis that is there already',
        ),
        (
            "zip: [{workload.batch: {values: [1, 8], when: input > 1}}]\naxes: {workload.input: [1]}",
            'zip.0."workload.batch".when: axes that move together have no condition',
        ),
        (
            "axes: {workload.batch: {values: [1, 8], when: input > 1}, workload.input: [1]}",
            "axes.\"workload.batch\".when: in a condition: found 'input', expected an axis before this one",
        ),
        (
            "axes: {workload.batch: {values: [1, 8], when: batch > 1}}",
            "in a condition: found 'batch', expected an axis before this one",
        ),
        (
            "axes: {workload.input: [1], workload.batch: {values: [1, 8], when: inptu > 1}}",
            "when: in 'inptu > 1': unknown name: found 'inptu', expected 'input'; did you mean 'input'?",
        ),
        (
            "axes: {workload.input: [1], workload.batch: {values: [1, 8], when: workload.input > 1}}",
            "when: in 'workload.input > 1': not allowed: found 'workload.input', expected the name of an axis",
        ),
        (
            "axes: {workload.input: [1], workload.batch: {values: [1, 8], when: input == 'x'}}",
            "axes.\"workload.batch\".when: in 'input == 'x'': a text is compared with a number",
        ),
        (
            "axes: {workload.input: {values: [1], name: a b}}",
            "axes.\"workload.input\".name: no name: found 'a b', expected letters",
        ),
        (
            "axes: {workload.input: {values: [1], name: n}, workload.batch: {values: [1], name: n}}",
            "axes.\"workload.batch\".name: the name of workload.input too: found 'n', expected another",
        ),
        (
            "axes: {workload.input: {values: [1], name: tbt_s}}",
            "axes.\"workload.input\".name: the name of a metric too: found 'tbt_s', expected another",
        ),
        (
            "axes: {workload.batch: [1]}\nderived: {batch: 3}",
            "3: derived.batch: a name that is taken: found 'batch', expected another",
        ),
        ("axes: {workload.batch: [1]}\nderived: {a b: 3}", "3: derived.a b: no name"),
        ("axes: {workload.batch: [1]}\nderived: {tbt_\N{MICRO SIGN}s: 3}", "no name"),  # Python reads a Greek letter
        (
            "axes: {workload.batch: {values: [1], name: A}, workload.input: {values: [5], name: a}}",
            "the name of workload.batch too: found 'a', expected another, whatever its case",
        ),
        (
            "axes: {workload.input: {values: [1], name: point}}",
            "the name of a column of the results too: found 'point', expected another",
        ),
        ("axes: {workload.batch: [1]}\nderived: {front: 3}", "3: derived.front: a name that is taken"),
        ("axes: {workload.batch: [1]}\nderived: {Tbt_s: 3}", "3: derived.Tbt_s: a name that is taken"),
        (
            "axes: {model: {values: [llama-3.1-8b], name: m}}\nderived: {model: 3}",
            "3: derived.model: a name that is taken",
        ),
        (
            "axes: {workload.batch: [1]}\nderived: {a: b + 1, b: 2}",
            "3: derived.a: in 'b + 1': unknown name: found 'b'",
        ),
        (
            "axes: {workload.batch: [1]}\nconstraints: [batch < 3, area_m <= 800]",
            "3: constraints.1: in 'area_m <= 800': unknown name: found 'area_m'",
        ),
        (
            "axes: {workload.batch: [1]}\nconstraints: [area_m <= 800]",
            "expected one of area_m2, batch, batches, bound_by",
        ),
        ("axes: {workload.batch: [1]}\nconstraints: ['1 <']", "3: constraints.0: no expression: invalid syntax"),
        (
            "axes: {workload.batch: [1]}\nobjectives: {tokens: max}",
            "3: objectives.tokens: unknown name: found 'tokens'",
        ),
        (
            "axes: {workload.batch: [1]}\nobjectives: {tbt_s: most}",
            "3: objectives.tbt_s: found 'most', expected one of",
        ),
        ("axes: {workload.batch: [1]}\nobjective: {tbt_s: min}", "3: objective: unknown key"),
        (
            "axes: {workload.batch: {linspace: [1, 200000, 200000]}, workload.input: {values: [1], when: batch > 1}}",
            "2: axes: conditions: found 200,000 combinations of the axes that they name (batch), expected at most",
        ),
    ],
)
def test_what_does_not_go_together_is_told(message, text, said):
    assert said in message(BASE + text)


def test_a_machine_or_model_that_varies_must_have_the_figure(message):
    both = "base: {model: llama-3.1-8b}\naxes:\n  hardware: [dgx-h100, sn40l]\n  "
    assert "no such figure: found 'gpu'" in message(both + f"{HBM}.bandwidth: [1 TB/s]")
    lost = """
        base: {hardware: dgx-h100}
        axes:
          workload.batch: [1, 2]
          model: {values: [mixtral-8x7b], when: batch > 1}
    """
    assert "base.model: missing key" in message(lost)
