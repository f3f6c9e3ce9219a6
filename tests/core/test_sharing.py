"""Ten cases worked by hand, and the max-min condition."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.sharing import speeds


@dataclass(frozen=True, eq=False)
class Use:
    """An activity: the share of each resource that it takes at full speed."""

    shares: tuple[tuple[str, float], ...]
    weight: float = 1.0


def fair(*uses: Use) -> list[float]:
    users: dict[str, dict[Use, float]] = {}
    for use in uses:
        for resource, share in use.shares:
            users.setdefault(resource, {})[use] = share * use.weight
    result = speeds(uses, users)
    return [result[use] for use in uses]


def use(weight: float = 1.0, **shares: float) -> Use:
    return Use(tuple(shares.items()), weight)


WORKED = {
    # One activity has the machine to itself.
    "alone": ([use(a=1.0)], [1.0]),
    # Two that each need all of a: half each.
    "two halves": ([use(a=1.0), use(a=1.0)], [1 / 2, 1 / 2]),
    # Nothing is shared, nothing slows down.
    "disjoint": ([use(a=1.0), use(b=1.0)], [1.0, 1.0]),
    # 0.4 + 0.6 = 1: a is just full, both keep their speed.
    "just full": ([use(a=0.4, b=1.0), use(a=0.6, c=1.0)], [1.0, 1.0]),
    # 1 level + 0.5 level = 1: level 2/3. Fair in slow-down: the light user is slowed as much as the heavy one.
    "slow-down is shared": ([use(a=1.0), use(a=0.5, b=1.0)], [2 / 3, 2 / 3]),
    # Weights 2 and 1: 2 level + 1 level = 1, level 1/3, speeds 2/3 and 1/3.
    "weights": ([use(2.0, a=1.0), use(1.0, a=1.0)], [2 / 3, 1 / 3]),
    # Weight 4 reaches speed 1 at level 1/4, where a has used 0.2*1 + 1*0.25 = 0.45; the other then rises alone to
    # 1*s = 1 - 0.2 = 0.8.
    "a weight that reaches full speed": ([use(4.0, a=0.2, b=1.0), use(1.0, a=1.0)], [1.0, 0.8]),
    # Long flow over a and b, short flows on each: a is full at level 1/2 (x, y), b has 1/2 left for z alone.
    "the line of two links": ([use(a=1.0, b=1.0), use(a=1.0), use(b=1.0)], [1 / 2, 1 / 2, 1 / 2]),
    # a has three users, full at 1/3; b then holds x at 1/3, so that z gets 2/3.
    "two bottlenecks in turn": ([use(a=1.0, b=1.0), use(a=1.0), use(a=1.0), use(b=1.0)], [1 / 3, 1 / 3, 1 / 3, 2 / 3]),
    # b fills first: 2 level = 1, x and y at 1/2. a holds y at 0.5*0.5 = 1/4 and so lets z have 3/4.
    "what a slow one leaves goes to others": ([use(b=1.0), use(a=0.5, b=1.0), use(a=1.0)], [1 / 2, 1 / 2, 3 / 4]),
}


@pytest.mark.parametrize("case", WORKED)
def test_agrees_with_shares_worked_by_hand(case: str) -> None:
    uses, expected = WORKED[case]
    assert fair(*uses) == pytest.approx(expected, rel=1e-12)


@st.composite
def activities(draw: st.DrawFn) -> list[Use]:
    resources = "abcd"[: draw(st.integers(1, 4))]
    share = st.floats(1e-3, 1.0)
    weight = st.sampled_from([1.0, 1.0, 0.25, 3.0])
    uses = []
    for _ in range(draw(st.integers(1, 10))):
        names = draw(st.lists(st.sampled_from(resources), min_size=1, unique=True))
        shares = [1.0] + [draw(share) for _ in names[1:]]
        uses.append(Use(tuple(zip(names, shares, strict=True)), draw(weight)))
    return uses


@given(activities())
def test_is_weighted_max_min_fair(uses: list[Use]) -> None:
    got = dict(zip(uses, fair(*uses), strict=True))
    load: dict[str, float] = {}
    for u in uses:
        for resource, share in u.shares:
            load[resource] = load.get(resource, 0.0) + share * got[u]
    assert all(0 < speed <= 1 for speed in got.values())
    assert max(load.values()) <= 1 + 1e-9
    for u in uses:
        if got[u] < 1 - 1e-9:
            assert any(
                load[r] > 1 - 1e-9
                and all(got[v] / v.weight <= got[u] / u.weight * (1 + 1e-9) for v in uses if r in dict(v.shares))
                for r, _ in u.shares
            ), "slowed down by no full resource on which it is among the fastest"


@given(activities())
def test_does_not_depend_on_the_order(uses: list[Use]) -> None:
    assert fair(*uses[::-1])[::-1] == pytest.approx(fair(*uses), rel=1e-9)


def test_a_share_too_small_to_matter_does_not_stop_it() -> None:
    assert fair(use(a=1.0, b=1e-15), use(a=1.0, b=1e-15), use(b=1e-15)) == pytest.approx([0.5, 0.5, 1.0])
