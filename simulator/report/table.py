"""Tables of a page, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from simulator import escape
from simulator.result import runs
from simulator.validation.published import written
from simulator.validation.reproduction import Compared

HEADINGS = ["metric", "condition", "role", "published", "simulated", "ratio", "read to", "agrees"]
NUMBERS = HEADINGS[3:7]


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """A table; the columns in `numbers` are set to the right. Cells are Markdown; a bar ends none."""
    rule = ["---:" if heading in numbers else "---" for heading in headings]
    cells = [headings, rule, *([re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def compared(rows: Sequence[Compared]) -> str:
    """Published beside simulated values; neighbours that differ in one number of their condition only are folded."""
    conditions = [row.published.condition for row in rows]
    alike: list[list[int | str]] = [[*_figures(row), *c, *c.values()] for row, c in zip(rows, conditions, strict=True)]
    cells = []
    for start, stop, place in runs(alike):
        condition = dict(conditions[start])
        if place is not None:
            key = list(condition)[place - len(alike[start])]
            condition[key] = f"{condition[key]}..{conditions[stop - 1][key]}"
        metric, *others = _figures(rows[start])
        values = f" ({stop - start} values)" if stop - start > 1 else ""
        cells.append([metric, escape.markdown(written(condition)) + values, *others])
    return markdown(HEADINGS, cells, NUMBERS)


def value(value: float | None, unit: str) -> str:
    """`713.2 ms`, `4.2x`, `yes`; `refused` for None."""
    if value is None or value != value:
        return "refused"
    if unit == "yes/no":
        return "yes" if value else "no"
    return f"{number(value)}x" if unit == "x" else f"{number(value)} {unit}"


def number(value: float) -> str:
    """Four digits, and no exponent where it would be longer than the number; noise in the tenth digit does not show."""
    value = float(f"{value:.9g}")
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"


def _figures(row: Compared) -> list[str]:
    """All cells of a row but its condition."""
    published = row.published
    return [
        escape.markdown(published.metric),
        published.role,
        escape.markdown(value(published.published, published.unit)),
        escape.markdown(value(row.simulated, published.unit)),
        "" if row.ratio is None else f"{row.ratio:.3f}",
        f"±{published.tolerance:g}" if published.tolerance else "exact",
        "yes" if row.agrees else "**no**",
    ]
