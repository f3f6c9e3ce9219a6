"""How far a design is from each side of its constraints."""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.study.questions.infeasible import excess
from simulator.study.space.columns import Columns
from simulator.study.space.expression import Expression, parse


class Margin(NamedTuple):
    """A constraint `value <= limit` or, where not `upper`, `value >= limit`."""

    text: str
    value: Expression
    limit: Expression
    upper: bool

    def slack(self, known: Columns) -> tuple[Any, Any, Any]:
        """The value, the limit, and how far the value may still go to the limit."""
        value, limit = self.value.at(known), self.limit.at(known)
        return value, limit, (limit - value) if self.upper else (value - limit)

    def excess(self, known: Columns) -> NDArray[np.float64]:
        """How far the value lies beyond the limit, as a fraction of it (`infeasible.excess`)."""
        value, limit = self.value.at(known), self.limit.at(known)
        return excess(value, limit) if self.upper else excess(-value, -limit)


def margins(constraint: Expression) -> list[Margin]:
    """The inequalities that a constraint is made of with `and`; none where it is made of anything else too.

    Of two that are chained, `1 <= x <= 2`, each is one.
    """
    source = constraint.text
    tree = ast.parse(source, mode="eval").body
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    margins = []
    for part in parts:
        if not isinstance(part, ast.Compare) or not all(isinstance(op, _UPPER + _LOWER) for op in part.ops):
            return []
        sides = [part.left, *part.comparators]
        for op, left, right in zip(part.ops, sides, sides[1:], strict=False):
            upper = isinstance(op, _UPPER)
            if isinstance(left, ast.Constant):  # 0.05 >= tbt_s
                left, right, upper = right, left, not upper
            value, limit = (ast.get_source_segment(source, side) or "" for side in (left, right))
            text = f"{value} {'<=' if upper else '>='} {limit}"
            margins.append(Margin(text, parse(value), parse(limit), upper))
    return margins


_UPPER, _LOWER = (ast.Lt, ast.LtE), (ast.Gt, ast.GtE)
