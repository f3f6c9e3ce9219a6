"""Which measured rows stay held out: those of a group of which no row goes to a fit.

A row is held out if its group gave no row to the fit, the residuals, the choice of form or the error bands. Groups are
named for each class of operators, and for runs: shapes that a fit has not seen, not further rows of shapes that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Groups:
    """What rows of a class have in common that are held out together.

    Attributes:
        columns: rows that agree in these are one group.
        alternate: hold out every second group, in their order, instead of a random share of them.
    """

    columns: tuple[str, ...]
    alternate: bool = False


GROUPS: Mapping[str, Groups] = {
    "gemm": Groups(("n", "k")),
    "attention_prefill": Groups(("heads", "kv_heads", "head_dim")),
    "attention_decode": Groups(("heads", "kv_heads", "head_dim")),
    "mla_prefill": Groups(("batch", "heads")),
    "mla_decode": Groups(("batch", "heads")),
    "exchange": Groups(("m",), alternate=True),
    "copy": Groups(("bytes",), alternate=True),
    "moe": Groups(("m", "tp", "ep")),
    "row_wise": Groups(("n",)),
    "collective": Groups(("bytes",), alternate=True),
    "run": Groups(("model",)),
}
"""The groups of each class of operators, and of runs."""


def held_out(
    rows: pd.DataFrame, kind: str, seed: int = 0, share: float = 0.5, groups: Groups | None = None
) -> pd.Series:
    """Which rows of one class are held out: True of the rows of a share of the groups.

    The same rows in another order give the same groups.

    Args:
        rows: in a form of `schema`.
        kind: their class (`GROUPS`), which says what a group is.
        seed: of the draw of groups.
        share: of the groups, rounded down, but of two or more at least one and never all.
        groups: others than those of the class.
    """
    import pandas as pd

    groups = groups or GROUPS[kind]
    columns = [column for column in groups.columns if column in rows]
    keys = pd.MultiIndex.from_frame(rows[columns])
    unique = keys.unique().sort_values()
    if groups.alternate:
        chosen = unique[1::2]
    else:
        count = min(max(int(share * len(unique)), 1), len(unique) - 1)
        chosen = unique[np.sort(np.random.default_rng(seed).permutation(len(unique))[:count])]
    return pd.Series(keys.isin(chosen), index=rows.index)
