from __future__ import annotations

from pathlib import Path

import pytest

from simulator import data
from simulator.errors import ConfigError


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch) -> Path:
    """A root with two machines, an experiment in a folder, and a folder that is none."""
    for name in (
        "hwconfigs/sn40l.yaml",
        "hwconfigs/dgx-a100.yaml",
        "experiments/coe/experiment.yaml",
        "experiments/x/y",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("schema: 1\n")
    monkeypatch.setattr(data, "_root", lambda: tmp_path)
    return tmp_path


def test_the_folders_are_those_of_the_checkout() -> None:
    root = Path(data.__file__).parents[1]
    assert (root / "pyproject.toml").is_file()
    assert data.folder("hwconfigs") == root / "hwconfigs"
    assert data.folder("workloads/models") == root / "workloads" / "models"


def test_an_installed_package_has_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(data, "__file__", str(tmp_path / "site-packages" / "simulator" / "data.py"))
    assert data._root.__wrapped__() == tmp_path / "site-packages" / "simulator" / "_data"


def test_a_project_of_another_name_beside_the_package_is_not_the_checkout(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "somebody-elses"\n')
    monkeypatch.setattr(data, "__file__", str(tmp_path / "simulator" / "data.py"))
    assert data._root.__wrapped__() == tmp_path / "simulator" / "_data"


def test_names_are_sorted_and_as_people_type_them(shelf: Path) -> None:
    assert data.names("hwconfigs") == ["dgx-a100", "sn40l"]
    assert data.names("experiments") == ["coe"]
    assert data.names("nothing") == []


def test_a_name_is_found_as_a_file_or_as_a_folder_of_an_experiment(shelf: Path) -> None:
    assert data.find("sn40l", "hwconfigs") == shelf / "hwconfigs" / "sn40l.yaml"
    assert data.find("coe", "experiments") == shelf / "experiments" / "coe" / "experiment.yaml"


def test_an_existing_file_is_itself(shelf: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yml"
    mine.write_text("")
    assert data.find(mine, "hwconfigs") == mine
    assert data.find(str(mine), "hwconfigs") == mine


@pytest.mark.parametrize("name", ["sn40", "SN40L", "/elsewhere/sn40l.yml", "sn40l.yaml"])
def test_an_unknown_name_is_answered_with_the_nearest(shelf: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        data.find(name, "hwconfigs")
    assert caught.value.nearest == "sn40l"
    assert name in str(caught.value)
    assert "dgx-a100" in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 5000, "a\0b"])
def test_no_name_does_worse_than_a_config_error(shelf: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        data.find(name, "hwconfigs")
