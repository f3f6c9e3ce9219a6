"""Names in measured data, and what they mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator import data
from simulator.errors import ConfigError
from simulator.hardware.system import load_system
from simulator.validation.measured.aliases import aliases, known, meant
from simulator.validation.measured.plain import LOSSES, plain


def test_each_alias_of_ours_means_one_file() -> None:
    for folder in ("hwconfigs", "workloads/models"):
        for name in data.names(folder):
            assert {meant(alias, folder) for alias in aliases(name, folder)} <= {name}


def test_case_and_punctuation_do_not_count() -> None:
    assert meant("LLAMA 2 70b", "workloads/models") == "llama-2-70b"
    assert meant("meta-llama/Llama-2-7B", "workloads/models") == "llama-2-7b"
    assert meant("no such machine", "hwconfigs") is None


def test_a_machine_that_extends_another_has_not_its_aliases(tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text("schema: 1\nextends: dgx-h100\nname: other\n")
    assert aliases(file, "hwconfigs") == []
    file.write_text("schema: 1\nextends: dgx-h100\nname: other\naliases: [H100-2]\n")
    assert aliases(file, "hwconfigs") == ["H100-2"]


def test_two_files_with_one_alias_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hwconfigs").mkdir()
    for name in ("one", "two"):
        (tmp_path / "hwconfigs" / f"{name}.yaml").write_text("aliases: [GPU 1]\n")
    monkeypatch.setattr(data, "_root", lambda: tmp_path)
    known.cache_clear()  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"two\.yaml.*aliases.*one\.yaml has it too: found 'GPU 1'"):
        known("hwconfigs")


@pytest.mark.parametrize("name", ["dgx-h100", "rtx4090-gen4", "sn40l-node"])
def test_a_plain_machine_loses_nothing_and_is_else_the_same(name: str) -> None:
    one, other = load_system(name), load_system(plain(name))
    assert [(r.name, r.capacity) for r in one.resources] == [(r.name, r.capacity) for r in other.resources]
    assert all(np.all(r.efficiency == 1.0) for r in other.resources)
    assert set(LOSSES) >= {path.rpartition(".")[2] for path in plain(name)} - {"extends", "runtime"}
