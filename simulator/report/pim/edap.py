"""Energy x delay x area of a GEMM on each kind of unit, published beside simulated, and the rate that it achieves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(reproduction: Reproduction) -> Drawn:
    """Two panels over the rows of the GEMM: EDAP over that of the worst unit, and FLOP/s of one device."""
    points = reproduction.base.frames()["points"]
    rows = [row.published for row in reproduction.rows if row.published.metric == "edap"]
    colours = dict(zip(dict.fromkeys(points["unit"]), style.CYCLE, strict=False))
    figure = style.figure(style.PAGE, 2.7)
    left, right = figure.subplots(1, 2)
    drawn: list[list[float]] = []
    for unit, colour in colours.items():
        line = points[points["unit"] == unit]
        left.plot(line["op_per_byte"], line["edap_over_worst"], color=colour, zorder=2)
        rates = (line["flops"] / line["delay_s"] / 1e12).tolist()
        over = {"linestyle": (0, (3, 3))} if rates in drawn else {}  # one below it has the same rates: show both
        right.plot(line["op_per_byte"], rates, color=colour, **over)
        drawn.append(rates)
        for row in rows:
            if row.condition["unit"] == unit:
                look = {"marker": "s"} if row.role == "calibration" else {}
                at = ([row.condition["op_per_byte"]], [row.published])
                left.plot(*at, **style.OPEN | {"color": colour, "markersize": 4.5, "zorder": 3} | look)
    ticks = list(dict.fromkeys(points["op_per_byte"]))
    for axis in (left, right):
        _label(axis, ticks)
    left.set_ylim(0, 1.08)
    left.set_ylabel("over that of the worst unit")
    left.set_title("(a) energy x delay x area", loc="left")
    style.plain_log(right, "y", (1, 2, 5))
    right.set_ylabel("TFLOP/s of a device")
    right.set_title("(b) rate of the GEMM", loc="left")
    lines = [style.key(called(unit), color=colour) for unit, colour in colours.items()]
    published: list[Any] = [
        style.key("published", **style.OPEN | {"markersize": 4.5}),
        style.key("published, in fitted columns", **style.OPEN | {"marker": "s", "markersize": 4.5}),
    ]
    style.legend(figure, [*lines, *published])
    where = f" ({names.figures(row.figure for row in rows)})" if rows else ""
    caption = (
        "Energy x delay x area of a GEMM, over that of the worst unit in each column: lines simulated, markers "
        f"published{where}. Squares: the columns that the two figures of the DRAM's process were fitted to. "
        "Right: FLOP/s behind the delays. Rows of inputs are FLOPs a byte of weights."
    )
    return Drawn("edap", caption, figure)


def called(unit: str) -> str:
    """`bankgroup-pim` is BankGroup-PIM."""
    return _CALLED.get(unit, unit)


_CALLED = {"logic-pim": "Logic-PIM", "bank-pim": "Bank-PIM", "bankgroup-pim": "BankGroup-PIM"}


def _label(axis: Axes, ticks: Sequence[int]) -> None:
    from matplotlib.ticker import NullLocator

    axis.set_xscale("log", base=2)
    axis.set_xticks(ticks, [f"{tick}" for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("FLOP a byte")
    axis.grid(which="major")
