"""What a reproduction amounts to, in sentences counted from its rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from simulator.escape import code, markdown
from simulator.report import names, table
from simulator.validation.published import CLOSE

Row = Mapping[Hashable, Any]
"""A row of `rows.csv`: `figure`, `metric`, `condition`, `role`, `published`, `simulated`, `ratio`, `tolerance`, `unit`,
`agrees`."""

NAMED = 5  # rows, at most, in a sentence


def verdict(rows: Sequence[Row]) -> list[str]:
    """First how many predictions came true; then which did not, the furthest of the others, and what is not counted."""
    if not rows:
        return ["Nothing is published to compare with."]
    predictions = [row for row in rows if row["role"] == "prediction"]
    if not predictions:
        return ["None of the published values is a prediction.", *_uncounted(rows)]
    wrong = [row for row in predictions if not row["agrees"]]
    sentences = [
        f"{len(predictions) - len(wrong)} of {len(predictions)} predictions lie within {100 * CLOSE:g} % of the "
        "published value or within its reading error."
    ]
    if wrong:
        more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        sentences.append("These do not: " + "; ".join(map(_named, wrong[:NAMED])) + more + ".")
    true = [row for row in predictions if row["agrees"] and row["ratio"] > 0]
    if true:
        furthest = max(true, key=lambda row: abs(row["ratio"] - 1))
        among = "the others" if wrong else "them"
        sentences.append(
            f"The furthest of {among} is {100 * abs(furthest['ratio'] - 1):.1f} % off: {_named(furthest)}."
        )
    return sentences + _uncounted(rows)


def _uncounted(rows: Sequence[Row]) -> list[str]:
    counts = {
        role: sum(row["role"] == role for row in rows) for role in ("disputed", "calibration", "input", "context")
    }
    sentences = []
    if counts["disputed"]:
        figures = markdown(names.figures(row["figure"] for row in rows if row["role"] == "disputed"))
        sentences.append(f"{counts['disputed']} published values are disputed ({figures}): shown, not counted.")
    if counts["calibration"] or counts["input"]:
        uncounted = f"{counts['calibration']} calibrations and {counts['input']} inputs"
        sentences.append(f"{uncounted} are not counted either, since the model was given them.")
    if counts["context"]:
        sentences.append(f"{counts['context']} values are shown for context: their conditions are not known.")
    return sentences


def _named(row: Row) -> str:
    """`Fig. 1a, switching, batch=8: 112.4 ms for 108 ms (±5)`."""
    place = ", ".join([*map(markdown, (names.figure(row["figure"]), row["metric"])), code(row["condition"])])
    simulated, published = (markdown(table.value(row[column], row["unit"])) for column in ("simulated", "published"))
    return f"{place}: {simulated} for {published}" + (f" (±{row['tolerance']:g})" if row["tolerance"] else "")
