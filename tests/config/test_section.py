from __future__ import annotations

import pytest
from pydantic import ValidationError

from simulator.config.section import NonEmpty, Section
from simulator.units import Bytes, Size


class Tier(Section):
    capacity: Bytes
    """Bytes that it holds."""
    reserved: Size = 0.0
    ports: NonEmpty[list[str]] = ["bus"]  # noqa: RUF012  # pydantic copies it


def test_a_docstring_under_a_key_describes_it() -> None:
    assert Tier.model_json_schema()["properties"]["capacity"]["description"] == "Bytes that it holds."


@pytest.mark.parametrize(
    "data", [{"capacity": 1, "size": 1}, {"capacity": float("nan")}, {"capacity": 1, "ports": []}, {"capacity": 0}, {}]
)
def test_what_is_unknown_empty_or_no_number_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Tier.model_validate(data)


def test_nothing_changes_once_it_is_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Tier(capacity=1.0).reserved = 2.0  # type: ignore[misc]
