from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.core import row_uses
from simulator.core.row_uses import RowUses

ROWS = 6
tokens = st.lists(st.sets(st.integers(0, ROWS - 1)), min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tokens, st.integers(1, 5))
def test_the_oldest_token_gives_up_what_no_later_one_used(
    monkeypatch: pytest.MonkeyPatch, drawn: list[set[int]], window: int
) -> None:
    monkeypatch.setattr(row_uses, "OUTDATED", 1)  # so that it forgets early what is outdated
    uses = RowUses(ROWS)
    for number, token in enumerate(drawn):
        uses.add(np.array(sorted(token), dtype=np.int64))
        if len(uses) > window:
            oldest, later = drawn[number - window], set[int]().union(*drawn[number - window + 1 : number + 1])
            assert uses.first == number - window
            assert set(uses.drop_oldest().tolist()) == oldest - later
    assert uses.last.tolist() == [max((i for i, t in enumerate(drawn) if row in t), default=-1) for row in range(ROWS)]


def test_what_is_put_back_is_of_the_oldest_token() -> None:
    uses = RowUses(ROWS)
    for token in ([0, 1, 2], [1, 3]):
        uses.add(np.array(token))
    uses.put_back(uses.drop_oldest()[1:])
    assert (uses.first, len(uses)) == (0, 2)
    assert [uses.drop_oldest().tolist() for _ in range(2)] == [[2], [1, 3]]
