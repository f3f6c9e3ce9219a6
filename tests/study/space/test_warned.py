"""A sweep warns of its axes once, at their key."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from simulator import data
from simulator.errors import TiersimWarning
from simulator.study.load import load_study
from simulator.study.problem import read_problem

SWEEP = """\
base: {{hardware: dgx-h100, model: llama-3-8b, workload: {{phase: request}}, mapping: {{devices: 1}}}}
axes:
  {path}: [{values}]
"""


def told(file: Path, points: bool = False) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TiersimWarning)
        found = read_problem(file)
        if points:
            found(found.columns(0, found.points))
    return [str(each.message) for each in caught if isinstance(each.message, TiersimWarning)]


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        (
            "hardware.devices.gpu.tiers.hbm.bandwidth",
            "2 TB/s, 3 kB/s, 4 TB/s",
            "found 3,000 B/s, expected about .* mean '3000 GB/s'",
        ),
        ("hardware.devices.gpu.tiers.hbm.bandwidth", "2 TB/s, 4000 TB/s", "found 4e.15 B/s, expected about"),
        ("model.vocab", "32000, 128", "found 128, expected about 32,000 to 262,144"),
        ("hardware.devices.gpu.engines.gpu.reads.hbm.bandwidth", "2 TB/s, 13.4 TB/s", "nothing depends on it"),
    ],
)
def test_an_end_of_an_axis_is_told_once_with_its_line(tmp_path, path: str, values: str, message: str) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP.format(path=path, values=values))
    texts = told(file, points=not path.startswith("model."))
    assert len(texts) == 1
    assert re.search(rf'sweep\.yaml:3: axes\."{re.escape(path)}": .*({message})', texts[0])


@pytest.mark.parametrize("name", data.names("experiments"))
def test_no_shipped_study_is_warned_of(name: str, recwarn: pytest.WarningsRecorder) -> None:
    load_study(name)
    assert [str(each.message) for each in recwarn if isinstance(each.message, TiersimWarning)] == []
