"""The time of a token: reads from flash, neurons moved in DRAM, compute; simulated and published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.baselines.published import Published
from simulator.baselines.reproduction import Reproduction
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.flash import looks

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

SIDES = {"dense": "whole matrices are read", "sparse": "active neurons are read"}
WHOLE = {"dense": {"io", "compute"}, "sparse": {"io", "memory", "compute"}}
"""The parts that make a published time a whole one."""
FILLS: dict[str, dict[str, Any]] = {
    "published": {"hatch": "////////"},
    "published, fitted to": {},
    "published, disputed or context": {"facecolor": "white"},
}
_LINE = 0.15  # inches

Row = dict[Any, Any]
Bar = dict[str, Published]
"""What is published of a point and goes together: part -> value."""


def draw(reproduction: Reproduction) -> Drawn | None:
    """A panel for methods that read whole matrices, one for those that read neurons; a group a model and machine."""
    points = looks.table(reproduction, "points")
    if points is None:
        return None
    rows = points.to_dict("records")
    panels = {kind: groups for kind in SIDES if (groups := _groups(reproduction, rows, kind))}
    values = looks.published(reproduction, *looks.PARTS)
    lines = max(sum(1.35 + len(group) for group in groups.values()) for groups in panels.values())
    figure = style.figure(style.PAGE, 1.05 + _LINE * lines)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for letter, axis, (kind, groups) in zip("ab", axes, panels.items(), strict=False):
        _panel(axis, reproduction, groups, values, WHOLE[kind])
        axis.set_ylim(lines, 0)
        axis.set_title(f"({letter}) {SIDES[kind]}" if len(panels) > 1 else SIDES[kind], loc="left")
    beside = any(_beside(row) for row in rows)
    figure.legend(handles=_keys(values, beside), loc="outside lower center", ncols=4)
    caption = (
        "The time of a token and what it is made of, for each machine and model: simulated"
        f"{looks.sources(values, ' and, in the thinner bars, published ({})')}. Numbers: totals, ms"
    )
    caption += "; published | simulated where all parts are published and none is disputed." if values else "."
    caption += " The two panels have scales of their own." if len(panels) > 1 else ""
    caption += " Pale with a black line: reads go on beside compute, and the line is the total." if beside else ""
    return Drawn("latency", caption, figure)


def _groups(reproduction: Reproduction, rows: Sequence[Row], kind: str) -> dict[tuple[str, str], list[Row]]:
    """The points of methods of a kind by model and machine, all in the experiment's order."""
    form = looks.form(reproduction)
    at = {(row["model"], row["system"], row["method"]): row for row in rows}
    methods = [name for name, method in form.methods.items() if method.kind == kind]
    groups = {
        (model, system): [row for method in methods if (row := at.get((model, system, method)))]
        for model in form.models
        for system in form.systems
    }
    return {group: found for group, found in groups.items() if found}


def _panel(
    axis: Axes,
    reproduction: Reproduction,
    groups: Mapping[tuple[str, str], Sequence[Row]],
    values: Sequence[Published],
    whole: set[str],
) -> None:
    place, ticks = 0.0, {}
    for (model, system), rows in groups.items():
        title = f"{looks.model(reproduction, model)}, {looks.machine(system)}"
        style.say(axis, title, (0, place + 0.85), (3, 0), va="center", fontsize=8)
        place += 1.35
        for row in rows:
            bars = _bars([v for v in values if _of(v, row)])
            _line(axis, place + 0.5, row, bars, whole)
            ticks[place + 0.5] = looks.method(row["method"])
            place += 1
    axis.set_yticks(list(ticks), list(ticks.values()))
    axis.tick_params(axis="y", length=0, labelsize=7.5)
    axis.margins(x=0.2)
    axis.set_xlim(0, None)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.set_xlabel("time of a token (ms)")
    axis.grid(axis="x")


def _of(value: Published, row: Row) -> bool:
    return all(value.condition.get(key) == row[key] for key in ("system", "model", "method"))


def _bars(values: Sequence[Published]) -> list[Bar]:
    """Tables of the paper that print different parts of a point make one bar; where they print the same, one each."""
    tables: dict[str, Bar] = {}
    for value in values:
        tables.setdefault(value.figure, {})[value.metric] = value
    bars: list[Bar] = []
    for table in sorted(tables.values(), key=len, reverse=True):
        bar = next((bar for bar in bars if not bar.keys() & table.keys()), None)
        if bar is None:
            bars.append(table)
        else:
            bar |= table
    return bars


def _line(axis: Axes, y: float, row: Row, bars: Sequence[Bar], whole: set[str]) -> None:
    """The simulated bar, published ones below it, and their totals."""
    if row["refused"]:
        style.say(axis, "refused", (0, y), (3, 0), va="center", fontsize=7)
        return
    parts = {part: 1e3 * row[f"{part}_s"] for part in looks.PARTS}
    total, sums = 1e3 * row["total_s"], [sum(map(_ms, bar.values())) for bar in bars]
    thick = 0.44 if bars else 0.6
    top = y - 0.42 if bars else y - 0.3
    left = 0.0
    for part, colour in looks.PARTS.items():
        face = style.tint(colour, 0.4) if _beside(row) else colour
        axis.barh(top, parts[part], thick, left, align="edge", color=face, linewidth=0, zorder=2)
        left += parts[part]
    if _beside(row):
        axis.plot([total, total], [top, top + thick], color="black", linewidth=1.4, solid_capstyle="butt", zorder=4)
    thin = 0.36 / max(1, len(bars))
    for place, bar in enumerate(bars):
        start = 0.0
        for part, colour in looks.PARTS.items():
            if part in bar:
                look = {"facecolor": style.tint(colour, 0.35), "edgecolor": colour} | FILLS[_fill(bar[part])]
                at = top + thick + 0.04 + place * thin
                axis.barh(at, _ms(bar[part]), thin, start, align="edge", linewidth=0.5, zorder=2, **look)
                start += _ms(bar[part])
    uncounted = list(FILLS)[-1]
    given = [
        f"{each:,.0f}"
        for each, bar in zip(sums, bars, strict=True)
        if bar.keys() >= whole and uncounted not in map(_fill, bar.values())
    ]
    text = " | ".join([*given, f"{total:,.0f}"])
    style.say(axis, text, (max(left, *sums, 0.0), y), (3, 0), va="center", fontsize=7)


def _beside(row: Row) -> bool:
    """Whether parts of a point run beside each other."""
    return bool(sum(row[f"{part}_s"] for part in looks.PARTS) > (1 + 1e-9) * row["total_s"])


def _ms(value: Published) -> float:
    return 1e3 * looks.si(value)


def _fill(value: Published) -> str:
    counted, fitted, uncounted = FILLS
    return {"prediction": counted, "calibration": fitted, "input": fitted}.get(value.role, uncounted)


def _keys(values: Sequence[Published], beside: bool) -> list[Artist]:
    from matplotlib.patches import Patch

    keys: list[Artist] = [Patch(color=colour, label=looks.WORDS[part]) for part, colour in looks.PARTS.items()]
    plain: dict[str, Any] = {"facecolor": style.tint("#333333", 0.35), "edgecolor": "#333333", "linewidth": 0.5}
    used = {_fill(value) for value in values}
    keys += [Patch(**plain | look, label=text) for text, look in FILLS.items() if text in used]
    keys += (
        [style.key("total, reads beside compute", color="black", linestyle="", marker="|", markeredgewidth=1.4)]
        if beside
        else []
    )
    return keys
