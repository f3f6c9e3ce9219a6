"""How the parts of a token, methods and roles look in all figures of a `flash` experiment, and how they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from simulator.baselines.flash import FlashExperiment
from simulator.baselines.published import Published
from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist

PARTS = {"io": style.BLUE, "memory": style.ORANGE, "compute": style.GREEN}
WORDS = {"io": "reads from flash", "memory": "neurons moved in DRAM", "compute": "compute"}

ROLES: dict[str, tuple[str, dict[str, Any]]] = {
    "prediction": ("published", {}),
    "calibration": ("published, fitted to", {"marker": "s"}),
    "input": ("published, given", {"marker": "D"}),
    "context": ("published, context", {"color": style.FAINT}),
    "disputed": ("published, disputed", {"color": style.FAINT, "marker": "s"}),
}
"""What a published value is called by its role, and how it looks."""

_CALLED = {
    "powerinfer": "PowerInfer",
    "predictor": "+ predictor",
    "windowing": "+ windowing",
    "all": "+ bundling (all)",
    "dynamic": "dynamic window",
    "lru": "LRU",
    "lfu": "LFU",
    "belady": "Belady (bound)",
}


def method(name: str) -> str:
    """`lru` is LRU, `hybrid-55` hybrid, 55 %, `cache-7-gb` cache, 7 GB, `one-read-window` one read, window."""
    if name in _CALLED:
        return _CALLED[name]
    name = re.sub(r"-(\d+)-gb$", r", \1 GB", re.sub(r"^hybrid-(\d+)$", r"hybrid, \1 %", name))
    return name.replace("-window", ", window").replace("-", " ")


def machine(name: str) -> str:
    """`m2-metal` is M2 Metal, `rtx-gen5` RTX gen5."""
    return names.machine(name).replace("metal", "Metal")


def model(reproduction: Reproduction, name: str) -> str:
    """OPT-6.7B; where the experiment calls it otherwise, that too."""
    real = form(reproduction).models[name].model
    return names.model(real) + ("" if real == name else f" ({name})")


def form(reproduction: Reproduction) -> FlashExperiment:
    """The YAML of the experiment."""
    assert isinstance(reproduction.experiment, FlashExperiment)
    return reproduction.experiment


def table(reproduction: Reproduction, name: str) -> pd.DataFrame | None:
    """A table of the base run; None where it has none."""
    found: pd.DataFrame | None = reproduction.base.frames().get(name)
    return found


def published(reproduction: Reproduction, *metrics: str) -> list[Published]:
    """What is published of some metrics."""
    return [row.published for row in reproduction.rows if row.published.metric in metrics]


def si(row: Published) -> float:
    """A published value in SI units."""
    return row.published / row.from_si(1.0)


def mark(row: Published, colour: str) -> dict[str, Any]:
    """The marker of a published value."""
    return style.OPEN | {"color": colour, "markersize": 4.5, "markeredgewidth": 0.8, "zorder": 5} | ROLES[row.role][1]


def marks(rows: Iterable[Published]) -> list[Artist]:
    """The keys of the roles that some values have."""
    roles = {row.role for row in rows}
    return [style.key(text, **style.OPEN | look) for role, (text, look) in ROLES.items() if role in roles]


def sources(rows: Iterable[Published], text: str = " ({})") -> str:
    """The paper's figures that some values come from; nothing where there are none."""
    figures = names.figures(row.figure for row in rows)
    return text.format(figures) if figures else ""
