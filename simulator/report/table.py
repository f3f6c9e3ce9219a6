"""Tables of a page, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simulator.baselines.reproduction import Compared

HEADINGS = ["metric", "condition", "role", "published", "simulated", "ratio", "read to", "agrees"]
NUMBERS = HEADINGS[3:7]


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """A table; the columns in `numbers` are set to the right."""
    rule = ["---:" if heading in numbers else "---" for heading in headings]
    cells = [headings, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def compared(rows: Sequence[Compared]) -> str:
    """Published beside simulated values; neighbours that differ in one number of their condition only are folded."""
    return markdown(HEADINGS, [_cells(run) for run in _runs(rows)], NUMBERS)


def condition(values: Mapping[str, Any]) -> str:
    """`batch=8 experts=40`."""
    return " ".join(f"{key}={value}" for key, value in values.items())


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


def _runs(rows: Sequence[Compared]) -> Iterator[list[Compared]]:
    """Neighbours that print alike but for one number of their condition."""
    run: list[Compared] = []
    for row in rows:
        if run and _varying([*run, row]) is None:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _varying(run: Sequence[Compared]) -> str | None:
    """The key in which alone the rows of a run differ, if there is one, and it is a number."""
    first, conditions = run[0], [row.published.condition for row in run]
    if any(
        _figures(row) != _figures(first) or c.keys() != conditions[0].keys()
        for row, c in zip(run, conditions, strict=True)
    ):
        return None
    keys = [key for key, value in conditions[0].items() if any(c[key] != value for c in conditions)]
    if len(keys) != 1 or not all(isinstance(c[keys[0]], int) for c in conditions):
        return None
    return keys[0]


def _figures(row: Compared) -> list[str]:
    """All cells of a row but its condition."""
    published = row.published
    return [
        published.metric,
        published.role,
        value(published.published, published.unit),
        value(row.simulated, published.unit),
        "" if row.ratio is None else f"{row.ratio:.3f}",
        f"±{published.tolerance:g}" if published.tolerance else "exact",
        "yes" if row.agrees else "**no**",
    ]


def _cells(run: Sequence[Compared]) -> list[str]:
    metric, *others = _figures(run[0])
    values = dict(run[0].published.condition)
    if len(run) > 1 and (key := _varying(run)):
        values[key] = f"{values[key]}..{run[-1].published.condition[key]}"
    return [metric, condition(values) + (f" ({len(run)} values)" if len(run) > 1 else ""), *others]
