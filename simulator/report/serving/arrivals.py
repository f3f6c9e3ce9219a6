"""What requests see when so many arrive a second, and the rates that systems follow."""

from __future__ import annotations

from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn
from simulator.report.serving.systems import called, colours, outcome_of

PANELS = {"TBT, median": "tbt_p50_s", "TBT, p90": "tbt_p90_s", "TTFT, median": "ttft_p50_s"}
LOOKS = {"poisson": "-", "even": "--"}


def draw(reproduction: Reproduction, name: str) -> Drawn | None:
    """A panel a quantity, a line a system and process; published rates as open markers on the axis."""
    outcome = outcome_of(reproduction)
    form = outcome.experiment.arrivals[name]
    if not outcome.experiment.runs(name):
        return None
    known = colours(reproduction)
    figure = style.figure(style.PAGE, 2.8)
    for letter, axis, (title, column) in zip("abc", figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for system in form.systems:
            for process in form.processes:
                rows = [r for r in outcome.arrivals if (r["system"], r["process"]) == (system, process)]
                line = {"linestyle": LOOKS[process], "linewidth": 1.3 if process == "poisson" else 0.8}
                axis.plot([r["rate"] for r in rows], [1e3 * r[column] for r in rows], color=known[system], **line)
        axis.set(xlabel="requests/s", xlim=(min(form.rates), max(form.rates)))
        spread = max(r[column] for r in outcome.arrivals) / min(r[column] for r in outcome.arrivals)
        style.plain_log(axis, "y", (1,) if spread > 100 else (1, 2, 5))
        axis.set_title(f"({letter}) {title}", loc="left")
        axis.grid(which="major")
        for row in reproduction.rows:
            if row.published.metric == "saturation" and row.published.role == "prediction":
                colour = known[row.published.condition["system"]]
                axis.axvline(row.published.published, color=colour, linestyle=":", linewidth=0.9)
                if row.simulated is not None:
                    top = axis.get_xaxis_transform()
                    axis.plot(
                        [row.simulated], [1], marker="v", markersize=4, color=colour, clip_on=False, transform=top
                    )
    figure.axes[0].set_ylabel("ms")
    keys = [style.key(called(system), color=known[system]) for system in form.systems]
    keys += [style.key(f"{process} arrivals", linestyle=LOOKS[process]) for process in form.processes]
    keys += [style.key("follows up to: published", linestyle=":"), style.key("simulated", linestyle="", marker="v")]
    figure.legend(handles=keys, loc="outside lower center", ncols=(len(keys) + 1) // 2)
    caption = (
        f"{names.model(form.model)}, {form.length[0]:,} tokens in and {form.length[1]:,} out, at most {form.batch} in "
        "a stage. A system follows a rate where the last fifth of the requests queues no longer than the first."
    )
    return Drawn(name, caption, figure)
