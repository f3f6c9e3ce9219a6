"""Text beside points of a plot, where it covers no other text and nothing drawn; what finds no room is left out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.escape import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point: TypeAlias = tuple[float, float, str]
Box: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, right, top; pixels."""
Side: TypeAlias = tuple[int, int, float]
"""Left or right (-1, 0, 1), down or up, and points."""

GAP = 4.0  # points, between a mark and its text
FAR = (11.0, 19.0)  # the same, with a line between them


def place(
    axes: Axes,
    points: Sequence[Point],
    towards: tuple[int, int],
    clear: NDArray[np.float64] | None = None,
    most: int = 8,
    over: bool = False,
    **look: Any,
) -> list[str]:
    """Label points in their order, on the side `towards` (each -1 or 1) first; gives the texts that found room.

    `clear` are places, of shape (n, 2) in data, that no text may cover, unless `over` and there is no other room; no
    text covers a point or other text. The axes must have their limits already.
    """
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text

    figure: Any = axes.figure
    figure.draw_without_rendering()  # so that the layout is known
    pixel = figure.dpi / 72
    inside = axes.get_window_extent()
    marks = axes.transData.transform(np.array([(x, y) for x, y, _ in points]).reshape(-1, 2))
    coverings = [marks if clear is None else np.concatenate([marks, axes.transData.transform(clear)])]
    coverings += [marks] if over else []
    near, far = _sides(towards)
    boxes: list[Box] = []
    texts: list[str] = []
    style: dict[str, Any] = {"fontsize": 7, "color": "#222222", **look}
    for (x, y, text), (px, py) in zip(points, marks, strict=True):
        if len(texts) == most:
            break
        size = Text(0, 0, visible(text), figure=figure, **style).get_window_extent()
        for covered, (across, up, gap) in [*product(coverings, near), *product(coverings[:1], far)]:
            box = _box(px, py, across, up, size.width, size.height, gap * pixel)
            within = box[0] >= inside.x0 and box[2] <= inside.x1 and box[1] >= inside.y0 and box[3] <= inside.y1
            leader = (px, py, px + across * gap * pixel, py + up * gap * pixel)
            if not within or _covers(box, covered, pixel) or any(_meet(box, leader, other) for other in boxes):
                continue
            line = {"arrowstyle": "-", "color": "#707070", "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2}
            note = axes.annotate(
                text, (x, y), (across * gap, up * gap), textcoords="offset points",
                ha={-1: "right", 0: "center", 1: "left"}[across], va={-1: "top", 0: "center", 1: "bottom"}[up],
                arrowprops=line if gap > GAP else None, zorder=6, **style,
            )  # fmt: skip
            note.set_in_layout(False)
            note.set_path_effects([withStroke(linewidth=1.5, foreground="white")])
            boxes.append(box)
            texts.append(text)
            break
    return texts


def _sides(towards: tuple[int, int]) -> tuple[list[Side], list[Side]]:
    """Ways to go from a point, and how far: close by, and away with a line."""
    across, up = towards
    close = [(across, 0), (across, up), (0, up), (across, -up), (-across, up)]
    return [(*side, GAP) for side in close], [(*side, gap) for gap in FAR for side in ((across, up), (0, up))]


def _box(x: float, y: float, across: int, up: int, width: float, height: float, gap: float) -> Box:
    left = x + across * gap - (0.5 - across / 2) * width
    bottom = y + up * gap - (0.5 - up / 2) * height
    return left, bottom, left + width, bottom + height


def _meet(box: Box, leader: Box, other: Box) -> bool:
    """Whether a text or the line to it lies on another text."""
    overlap = box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
    steps = np.linspace(0, 1, 9)
    x, y = leader[0] + steps * (leader[2] - leader[0]), leader[1] + steps * (leader[3] - leader[1])
    return overlap or bool(np.any((x > other[0]) & (x < other[2]) & (y > other[1]) & (y < other[3])))


def _covers(box: Box, marks: NDArray[np.float64], pixel: float) -> bool:
    x, y = marks[:, 0], marks[:, 1]
    edge = 1.5 * pixel
    return bool(np.any((x > box[0] - edge) & (x < box[2] + edge) & (y > box[1] - edge) & (y < box[3] + edge)))
