from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from simulator.report.flow import Node, flow

BOX, THREAD = 1.0, 0.1


@st.composite
def graphs(draw) -> dict[str, list[str]]:
    """A DAG: each stage is fed by some of those before it."""
    count = draw(st.integers(1, 14))
    return {f"s{i}": [f"s{j}" for j in range(i) if draw(st.booleans()) and i - j < 6] for i in range(count)}


@given(graphs())
def test_stages_stand_below_what_feeds_them_and_beside_one_another(after: dict[str, list[str]]) -> None:
    found = flow(after, BOX, THREAD)
    stages = {node.stage: node for nodes in found.rows for node in nodes if found.is_stage(node)}
    assert set(stages) == set(after)
    for stage, feeders in after.items():
        assert all(stages[feeder].row < stages[stage].row for feeder in feeders)
    for nodes in found.rows:
        for left, right in pairwise(nodes):
            width = sum(BOX if found.is_stage(node) else THREAD for node in (left, right)) / 2
            assert found.x[right] - found.x[left] >= width - 1e-9


@given(graphs())
def test_each_output_reaches_each_reader_row_by_row(after: dict[str, list[str]]) -> None:
    found = flow(after, BOX, THREAD)
    assert all(b.row == a.row + 1 for a, b in found.links)
    leads: dict[Node, list[Node]] = {}
    for a, b in found.links:
        leads.setdefault(a, []).append(b)
    stages = {node.stage: node for nodes in found.rows for node in nodes if found.is_stage(node)}
    for stage, at in stages.items():
        reached, open_ = set(), [at]
        while open_:
            for node in leads.get(open_.pop(), []):
                if found.is_stage(node):
                    reached.add(node.stage)
                else:
                    assert node.stage == stage
                    open_.append(node)
        assert reached == {reader for reader, feeders in after.items() if stage in feeders}


@given(graphs(), st.integers(1, 8))
def test_two_columns_hold_all_rows(after: dict[str, list[str]], most: int) -> None:
    found = flow(after, BOX, THREAD)
    first = found.cut(most)
    assert 1 <= first <= len(found.rows)
    assert (first == len(found.rows)) == (len(found.rows) <= most)


def test_a_chain_stands_in_one_line() -> None:
    found = flow({"a": [], "b": ["a"], "c": ["b"]}, BOX, THREAD)
    assert len(set(found.x.values())) == 1
