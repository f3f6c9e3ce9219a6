"""Every published value of a `serving` experiment beside the simulated one."""

from __future__ import annotations

from simulator.baselines.published import Published
from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn
from simulator.report.serving.systems import called, model

WORDS = {
    "speedup": "throughput", "energy": "energy", "tbt_p50": "TBT p50", "tbt_p99": "TBT p99", "ttft_p50": "TTFT p50",
    "e2e_p50": "E2E p50", "e2e_p99": "E2E p99",
}  # fmt: skip


def draw(reproduction: Reproduction) -> Drawn | None:
    """A line for each published ratio: open where it is published, a dot where it is simulated."""
    rows = [row for row in reproduction.rows if row.published.unit == "x" and row.simulated is not None]
    if not rows:
        return None
    figure = style.figure(style.PAGE, 0.9 + 0.22 * len(rows))
    axis = figure.subplots()
    for place, row in enumerate(rows):
        published, simulated = row.published.published, row.simulated or 0.0
        colour = {"prediction": style.BLUE, "calibration": style.ORANGE}.get(row.published.role, style.FAINT)
        axis.plot([published, simulated], [place, place], color=colour, linewidth=0.7, zorder=1)
        axis.plot([published], [place], **style.OPEN | {"color": colour, "markersize": 5.5, "zorder": 2})
        axis.plot([simulated], [place], marker="o", markersize=2.8, markeredgewidth=0, color=colour, zorder=3)
        text = f"{published:.3g} | {simulated:.3g}"
        style.say(axis, text, (1, place), (8, 0), xycoords=axis.get_yaxis_transform(), va="center")
    style.plain_log(axis, "x", (1, 2, 3, 5))
    axis.set_yticks(range(len(rows)), [_label(row.published) for row in rows])
    axis.tick_params(axis="y", length=0, labelsize=7.5)
    axis.spines["left"].set_visible(False)
    axis.axvline(1, color="black", linewidth=0.6)
    axis.set(ylim=(len(rows) - 0.4, -0.6), xlabel="ratio of two systems")
    axis.grid(which="major")
    keys = [
        style.key("published", **style.OPEN | {"markersize": 5.5}),
        style.key("simulated", linestyle="", marker="o", markersize=2.8),
        style.key("prediction", linestyle="", marker="s", markersize=5, color=style.BLUE),
        style.key("calibration", linestyle="", marker="s", markersize=5, color=style.ORANGE),
        style.key("context", linestyle="", marker="s", markersize=5, color=style.FAINT),
    ]
    style.legend(figure, keys)
    caption = "Every published ratio of two systems, and the simulated one beside it."
    return Drawn("statistics", caption, figure)


def _label(row: Published) -> str:
    """`Fig. 12: E2E p50, Duplex + PE + ET over GPU, mean, GLaM-143B`."""
    c = row.condition
    told = [str(c["statistic"])] if "statistic" in c else []
    told += [model(c["model"])] if "model" in c else []
    told += [f"{c['input']:,}"] if "input" in c else []
    told += [f"batch {c['batch']}"] if "batch" in c else []
    what = f"{WORDS.get(row.metric, row.metric)}, {called(c['system'])} over {called(c['over'])}"
    return f"{names.figure(row.figure)}: " + ", ".join([what, *told])
