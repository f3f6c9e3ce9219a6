from __future__ import annotations

import pytest

from simulator import data
from simulator.errors import ConfigError
from simulator.hardware.part import FOLDER, load_part


@pytest.mark.parametrize("name", data.names(FOLDER))
def test_each_part_that_ships_is_right_and_is_no_machine_by_name(name: str) -> None:
    assert load_part(name).data["description"]
    assert name not in data.names("hwconfigs")


def test_each_part_that_ships_is_used() -> None:
    files = [*data.folder("hwconfigs").glob("*.yaml"), *data.folder(FOLDER).glob("*.yaml")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    assert [name for name in data.names(FOLDER) if f"part: {name}" not in text and f"extends: {name}" not in text] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tier: {kind: hbm, bandwith: 1 TB/s}", r"mine\.yaml:1: tier\.bandwith: unknown key.*did you mean 'bandwidth'"),
        ("link: {bandwidth: -1 GB/s}", r"mine\.yaml:1: link\.bandwidth: found '-1 GB/s', expected more than 0"),
        ("tire: {kind: hbm}", r"mine\.yaml:1: tire: unknown key.*did you mean 'tier'"),
    ],
)
def test_what_is_wrong_with_a_part_is_told_and_not_what_it_leaves_out(tmp_path, text: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_part(file)
