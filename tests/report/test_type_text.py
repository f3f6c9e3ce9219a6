from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from simulator.report.type_text import field_type, forms, type_text, unit
from simulator.units import Bandwidth, Count, Fraction, Seconds, Unit


class Inner(BaseModel):
    size: Bandwidth | None = None
    names: Annotated[tuple[str, ...], Field(min_length=1)]


class Outer(BaseModel):
    one: Inner
    many: dict[str, list[Inner]]
    either: Fraction | Inner = 1.0
    plain: Literal["a", "b"] = "a"


@pytest.mark.parametrize(
    ("types", "text"),
    [
        (bool, "true or false"),
        (str | None, "text"),
        (Count, "whole number ≥ 1"),
        (Annotated[int, Field(ge=1, le=10)], "whole number ≥ 1, ≤ 10"),
        (Seconds, "number in s ≥ 0"),
        (Bandwidth | None, "number in B/s > 0"),
        (Fraction, "number > 0, ≤ 1"),
        (Literal["ring", "tree", "direct"], "`ring`, `tree` or `direct`"),
        (dict[str, Annotated[float, Unit("B"), Field(ge=0)]], "by name: number in B ≥ 0"),
        (Annotated[list[str], Field(min_length=2)], "list of text, 2 or more"),
        (tuple[int, int], "[whole number, whole number]"),
        (Fraction | Inner, "number > 0, ≤ 1 or Inner"),
    ],
)
def test_a_type_in_words(types: Any, text: str) -> None:
    assert type_text(types, lambda form: form.__name__) == text


def test_forms_and_the_steps_to_them() -> None:
    below = {key: list(forms(field_type(field))) for key, field in Outer.model_fields.items()}
    assert below == {"one": [((), Inner)], "many": [((".NAME", "[]"), Inner)], "either": [((), Inner)], "plain": []}


def test_the_unit_of_a_figure() -> None:
    assert [unit(field_type(field)) for field in Inner.model_fields.values()] == ["B/s", None]
