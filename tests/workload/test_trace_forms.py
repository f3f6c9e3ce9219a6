"""Which expert each prompt asks for, over a warm-up and what is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from simulator.workload.trace_forms import TraceForm

FORMS: TypeAdapter[Any] = TypeAdapter(TraceForm)
LAWS = st.sampled_from(["cyclic", "uniform", "zipf", "markov"])


@given(LAWS, st.integers(1, 20), st.integers(1, 50), st.integers(1, 4), st.integers(1, 4))
def test_batches_are_whole_and_no_miss_that_is_measured_is_a_first_one(
    kind: str, experts: int, batch: int, warm_up: int, rounds: int
) -> None:
    trace = FORMS.validate_python({"kind": kind, "warm_up": warm_up, "rounds": rounds})
    before, choices = trace.served(experts, batch)
    assert len(choices) % batch == 0
    assert len(choices) > before * batch >= warm_up * experts
    assert abs(len(choices) - (warm_up + rounds) * experts) <= 2 * batch
    assert set(choices[: before * batch]) == set(range(experts))
    assert set(choices) == set(range(experts))


@given(st.integers(1, 20), st.integers(1, 50))
def test_a_law_is_drawn_alike_whatever_the_batch(experts: int, batch: int) -> None:
    trace = FORMS.validate_python({"kind": "zipf", "seed": 3})
    one, many = trace.served(experts, 1)[1], trace.served(experts, batch)[1]
    shorter = min(len(one), len(many))
    assert one[:shorter] == many[:shorter]


def test_a_recorded_trace_is_served_over_and_over(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("prompt,expert\na,0\nb,2\nc,1\n")
    before, choices = FORMS.validate_python({"kind": "recorded", "file": str(file)}).served(3, 2)
    assert (before, choices) == (2, [0, 2, 1, 0, 2, 1])
    assert FORMS.validate_python({"kind": "recorded", "file": str(file), "rounds": 3}).served(3, 3)[1] == [0, 2, 1] * 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "cyclic", "seed": 1}, "seed"),
        ({"kind": "zipf", "exponent": -1}, "exponent"),
        ({"kind": "markov", "stay": 1.5}, "stay"),
        ({"kind": "recorded", "file": "nowhere.csv"}, "file"),
        ({"kind": "poisson"}, "kind"),
    ],
)
def test_what_no_law_takes_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FORMS.validate_python(given)
