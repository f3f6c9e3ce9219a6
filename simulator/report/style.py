"""How figures look: fonts, sizes, colours and files, as a paper prints them.

Figures are drawn with matplotlib's objects and no global state, inside `publication()`. Text sits in STIX, which comes
with matplotlib and is drawn as outlines in SVG; a file holds no date and no version, so that the same figure gives the
same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simulator.errors import unknown
from simulator.escape import visible
from simulator.files import replacement

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLUMN = 3.4
"""Width of one column of a paper, inches."""
PAGE = 7.0
"""Width of the text of a page of a paper, inches."""

# Okabe and Ito, Color Universal Design (2008): told apart by colour-blind readers.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
GREY = "#8A8A8A"
FAINT = "#A8A8A8"
"""Of what does not count: disputed values, and simulated ones that were fitted."""
CYCLE = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")

_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

_OPTIONS: dict[str, dict[str, Any]] = {"png": {"pil_kwargs": {"compress_level": 0}}}
"""A PNG is compressed once, when it is shrunk."""

_SETTINGS: dict[str, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.4,
    "savefig.dpi": 200,
    "svg.hashsalt": "tiersim",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


@contextmanager
def publication() -> Iterator[None]:
    """Matplotlib's own defaults with ours on top, whatever the user has set; also a decorator of what draws."""
    from matplotlib import style

    with style.context(_SETTINGS, after_reset=True):
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure, inches, whose parts are laid out without overlap."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def check_suffix(path: Path) -> str:
    """The format that a file's name asks for.

    Raises:
        ConfigError: it is not one that figures are written in.
    """
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in _METADATA:
        known, message = (f".{name}" for name in _METADATA), "figures are written as png, svg or pdf"
        raise unknown(path.suffix, known, message, file=path, expected=".png, .svg or .pdf")
    return suffix


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of its name (png, svg or pdf): whole, or not at all.

    Raises:
        ConfigError: the name asks for another format.
    """
    form = check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _show_controls(figure)
    with replacement(path) as unfinished:
        with publication():
            figure.savefig(unfinished, format=form, metadata=_METADATA[form], **_OPTIONS.get(form, {}))
        if form == "png":
            _shrink(unfinished)


def _show_controls(figure: Figure) -> None:
    """Write out the control characters of all texts: what has no look cannot be drawn, nor stand in XML."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    for text in figure.findobj(Text):
        text.set_text(visible(text.get_text()))
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FixedFormatter):
            formatter.seq = [visible(text) for text in formatter.seq]
        elif isinstance(formatter, FuncFormatter):  # of labels at fixed ticks too
            formatter.func = _visibly(formatter.func)


def _visibly(label: Callable[..., str]) -> Callable[..., str]:
    return lambda value, place=None: visible(label(value, place))


def _shrink(png: Path) -> None:
    """A palette in place of full colour: a third of the bytes, and no difference to the eye."""
    from PIL import Image

    with Image.open(png) as image:
        small = image.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        small.save(png, format="png", dpi=image.info["dpi"], optimize=True)


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """A colour mixed with white: all of it at 1, white at 0."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def key(label: str, **look: Any) -> Line2D:
    """What a line or a marker means, whatever colour it has in the figure."""
    from matplotlib.lines import Line2D

    plain: dict[str, Any] = {"color": "#333333", "markeredgewidth": 0.8}
    return Line2D([], [], label=label, **plain | look)


OPEN: dict[str, Any] = {"marker": "o", "linestyle": "", "markerfacecolor": "white"}
"""The look of a published value."""


MOST_KEYS = 7  # in a line


def legend(figure: Figure, keys: Sequence[Artist]) -> None:
    """The keys in one line below a figure, or in two where there are many."""
    ncols = len(keys) if len(keys) <= MOST_KEYS else -(-len(keys) // 2)
    figure.legend(handles=list(keys), loc="outside lower center", ncols=ncols)


def say(axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], **look: Any) -> None:
    """Text beside a place in a plot, moved from it by an offset in points."""
    axes.annotate(text, at, offset, textcoords="offset points", annotation_clip=False, **{"fontsize": 8} | look)


def plain_log(axes: Axes, which: Literal["x", "y"], ticks: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers at these multiples of the powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(10, subs=ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_locator(NullLocator())
