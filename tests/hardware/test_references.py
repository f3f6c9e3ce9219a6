"""A name that stands for no part of the machine is told with its file, line and key path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import load_system
from simulator.errors import ConfigError

BASE = """\
devices:
  chip:
    tiers:
      sram: {kind: sram, capacity: 40 MiB, bandwidth: 20 TB/s}
      hbm: {kind: hbm, capacity: 80 GiB, bandwidth: 2 TB/s}
    engines:
      core: {kind: gpu, peak: {bf16: 100 TFLOP/s}, reads: {sram: {}, hbm: {}}}
tiers:
  host: {kind: host, capacity: 1 TB, bandwidth: 200 GB/s}
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Loads a file `own.yaml` that extends `base.yaml`."""
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE)

    def load(text: str = "", *overrides: str) -> object:
        Path("own.yaml").write_text(f"extends: base\n{text}")
        return load_system("own.yaml", overrides)

    return load


@pytest.mark.parametrize(
    "link", ["chip<->chip", "node<->node", "host<->chip.hbm", "host->chip.core", "chip.sram->host", "chip<->host"]
)
def test_a_link_of_a_node_joins_devices_and_tiers(load, link: str) -> None:
    load(f"links: {{'{link}': {{bandwidth: 1 GB/s}}}}")


@pytest.mark.parametrize("link", ["sram<->hbm", "hbm->core"])
def test_a_link_of_a_device_joins_its_parts(load, link: str) -> None:
    load(f"devices: {{chip: {{links: {{'{link}': {{bandwidth: 1 GB/s}}}}}}}}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "devices:\n  chip:\n    engines:\n      core:\n        reads:\n          hmb: {}\n",
            "own.yaml:7: devices.chip.engines.core.reads.hmb: the device has no such tier: "
            "found 'hmb', expected one of sram, hbm; did you mean 'hbm'?",
        ),
        (
            "devices:\n  chip:\n    links:\n      srma<->hbm: {bandwidth: 1 GB/s}\n",
            "own.yaml:5: devices.chip.links.srma<->hbm: a link to nothing: "
            "found 'srma', expected one of sram, hbm, core; did you mean 'sram'?",
        ),
        (
            "links:\n  chip.hbm<->hots: {bandwidth: 1 GB/s}\n",
            'own.yaml:3: links."chip.hbm<->hots": a link to nothing: '
            "found 'hots', expected one of chip, host, node, chip.sram, chip.hbm, chip.core; did you mean 'host'?",
        ),
    ],
)
def test_a_name_of_nothing_is_told_with_its_place(load, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(text)
    assert str(error.value) == message


def test_the_place_is_in_the_file_that_says_it(load) -> None:
    """What is missing was taken away in one file; what still asks for it stands in another."""
    with pytest.raises(ConfigError, match=r"^base\.yaml:7: devices\.chip\.engines\.core\.reads\.hbm: .*'hbm'"):
        load("devices: {chip: {tiers: {hbm: null}}}")


def test_an_option_is_a_place_too(load) -> None:
    with pytest.raises(ConfigError, match=r"^--set: devices\.chip\.engines\.core\.reads\.flash: .*'flash'"):
        load("", "devices.chip.engines.core.reads.flash={}")


def test_all_are_told(load) -> None:
    with pytest.raises(ConfigError) as error:
        load("links:\n  chip<->hots: {bandwidth: 1 GB/s}\n  hosts->chip: {bandwidth: 1 GB/s}\n")
    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == ["own.yaml:3", "own.yaml:4"]
