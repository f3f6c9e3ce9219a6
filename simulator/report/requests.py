"""Requests as a figure: when they come, how far apart, how long they are, and how much of them came before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.report import style
from simulator.workload.requests.summary import GAPS, Counts, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def draw(requests: Summary, title: str, path: Path) -> None:
    """Draw rate over time, gaps beside those of a Poisson process, lengths, and reuse over time where it is known.

    Raises:
        ConfigError: the path's suffix is none of png, svg and pdf.
    """
    style.check_suffix(path)
    with style.publication():
        known = requests.reused is not None
        figure = style.figure(style.PAGE, 4.4)
        panels = figure.subplots(2, 2)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        _rate(panels[0, 0], requests)
        _gaps(panels[0, 1], requests)
        _lengths(panels[1, 0], requests)
        if known:
            _reuse(panels[1, 1], requests)
        else:
            panels[1, 1].set_axis_off()
            panels[1, 1].text(0.5, 0.5, "no prefixes are known", ha="center", color=style.GREY, fontsize=8)
        style.save(figure, path)


def _clock(requests: Summary) -> tuple[np.ndarray, str]:
    """Bounds of the bins in a unit that suits the span, and its name."""
    seconds, name = next((each for each in UNITS if requests.span_s >= 2 * each[0]), UNITS[-1])
    return np.arange(len(requests.arrivals) + 1) * requests.bin_s / seconds, name


def _rate(axes: Axes, requests: Summary) -> None:
    edges, unit = _clock(requests)
    axes.stairs(requests.arrivals / requests.bin_s, edges, fill=True, color=style.tint(style.BLUE, 0.45))
    if requests.rate:
        axes.axhline(requests.rate, color=style.BLACK, linewidth=0.8)
        axes.set_title(f"mean {requests.rate:,.3g} a second", loc="right", fontsize=8)
    axes.set(xlabel=f"{unit} from the first arrival", ylabel="requests a second", xlim=(0, edges[-1]))
    axes.set_ylim(bottom=0)


def _gaps(axes: Axes, requests: Summary) -> None:
    """The share of gaps that are longer."""
    total = requests.gaps.sum()
    if not total or requests.rate is None:
        axes.set_axis_off()
        return
    longer, mean = 1 - np.cumsum(requests.gaps)[:-1] / total, requests.span_s / total
    axes.plot(GAPS, longer, color=style.BLUE, label="these")
    axes.plot(GAPS, np.exp(-GAPS / mean), color=style.GREY, linewidth=0.9, linestyle="--", label="Poisson")
    longest = GAPS[min(int(np.flatnonzero(requests.gaps)[-1]), len(GAPS) - 1)]
    style.plain_log(axes, "x", (1,))
    style.plain_log(axes, "y", (1,))
    axes.set(xlim=(mean / 1e3, max(longest, 5 * mean) * 1.5), ylim=(max(0.5 / total, 1e-6), 1.5))
    axes.set(xlabel="gap between arrivals (s)", ylabel="share that is longer")
    axes.legend(loc="lower left")
    if requests.gap_variation is not None:
        axes.set_title(f"deviation over mean {requests.gap_variation:.3g}", loc="right", fontsize=8)


def _lengths(axes: Axes, requests: Summary) -> None:
    """The share of prompts, and of answers, that are no longer."""
    both = ((requests.input, style.VERMILION, "prompts"), (requests.output, style.GREEN, "answers"))
    for counts, colour, name in both:
        upto = np.cumsum(counts.counts) / counts.counts.sum()
        values = np.concatenate([counts.values[:1], counts.values])
        label = f"{name}, mean {counts.mean:,.0f}"
        axes.step(values, np.concatenate([[0], upto]), where="post", color=colour, label=label)
    style.plain_log(axes, "x", (1,))
    axes.set(xlim=_range(requests.input, requests.output), ylim=(0, 1.02))
    axes.set(xlabel="tokens", ylabel="share that is no longer")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0)


def _range(*counts: Counts) -> tuple[float, float]:
    return min(each.values[0] for each in counts) / 1.5, max(each.values[-1] for each in counts) * 1.5


def _reuse(axes: Axes, requests: Summary) -> None:
    edges, unit = _clock(requests)
    share = np.nan_to_num(requests.reused_by_bin) * 100
    axes.stairs(share, edges, fill=True, color=style.tint(style.PURPLE, 0.6))
    axes.axhline((requests.reused or 0) * 100, color=style.BLACK, linewidth=0.8)
    axes.set(xlabel=f"{unit} from the first arrival", ylabel="prompt tokens seen before (%)")
    axes.set(xlim=(0, edges[-1]), ylim=(0, 100))
    axes.set_title(f"{requests.reused or 0:.1%} of all", loc="right", fontsize=8)
