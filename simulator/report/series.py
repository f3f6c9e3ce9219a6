"""A run of a service over time, as a figure: load, queue, time to first token, room, power."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.report import style
from simulator.report.requests import UNITS

if TYPE_CHECKING:
    import pandas as pd

PANELS = (
    ("requests a second", {"arrivals_per_s": "arrive", "requests_per_s": "end"}),
    ("tokens a second", {"tokens_per_s": "of answers", "prompt_tokens_per_s": "of prompts"}),
    ("requests", {"waiting": "wait", "running": "run"}),
    ("time to first token, s", {"ttft_p50_s": "p50", "ttft_p99_s": "p99"}),
    ("share", {"kv_held": "blocks held", "hit_rate": "tokens cached", "busy": "busy"}),
    ("power, W", {"power_w": ""}),
)


def draw(series: pd.DataFrame, title: str, path: Path) -> None:
    """Draw a series of windows (`Serving.series`), a panel a quantity; those that are not known are left out.

    Raises:
        ConfigError: the path's suffix is none of png, svg and pdf.
    """
    style.check_suffix(path)
    start, end = series["start_s"], series["start_s"] + series["seconds"]
    seconds, unit = next((each for each in UNITS if end.max() >= 2 * each[0]), UNITS[-1])
    edges = np.append(start, end.iloc[-1:]) / seconds
    with style.publication():
        figure = style.figure(style.PAGE, 5.6)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        for axes, (label, lines) in zip(figure.subplots(3, 2, sharex=True).flat, PANELS, strict=True):
            for color, (column, name) in zip(style.CYCLE, lines.items(), strict=False):
                if series[column].notna().any():
                    axes.stairs(series[column], edges, baseline=None, color=color, label=name)
            axes.set(ylabel=label, xlim=(edges[0], edges[-1]))
            axes.set_ylim(bottom=0)
            if len(lines) > 1:
                axes.legend(frameon=False, fontsize=7)
        for axes in figure.axes[-2:]:
            axes.set_xlabel(f"{unit} from the start")
        style.save(figure, path)
