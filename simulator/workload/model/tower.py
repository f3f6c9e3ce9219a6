"""What a tower of images has in place of a vocabulary: patches that go in, and a projector behind them."""

from __future__ import annotations

from typing import Literal

from simulator.config.section import NonEmpty, Section
from simulator.workload.model.types import Count, Flag, Width


class Patches(Section):
    """What an image is cut into: patches are projected, and go in as tokens (ViT, arXiv 2010.11929, section 3.1)."""

    size: Count
    """Pixels of a side of a patch."""
    channels: Count = 3
    """Numbers of a pixel."""
    frames: Count = 1
    """Frames of a video that one patch spans; an image counts as as many."""
    bias: Flag = False
    """Whether the projection has a bias."""
    class_token: Flag = False
    """Whether a learned token stands before the patches."""
    positions: Width = 0
    """Rows of a learned table of positions, which is scaled to other sizes of images; 0: there is none."""

    @property
    def numbers(self) -> int:
        """Numbers of the pixels of a patch."""
        return self.size**2 * self.channels * self.frames


class Projector(Section):
    """What makes of patches what a language model reads as tokens: several become one, then matrices follow."""

    merge: Count = 1
    """Patches that become one token."""
    pool: Flag = False
    """Whether their mean does, rather than all of their numbers side by side."""
    norm: Literal["none", "patch", "merged"] = "none"
    """What is normalised before the matrices: each patch, or what several became."""
    norm_bias: Flag = False
    """Whether that norm has a bias."""
    widths: NonEmpty[tuple[Count, ...]]
    """Widths that the matrices give, the last that of the language model; an activation stands between them."""
    bias: Flag = False
    """Whether the matrices have biases."""
    taps: Width = 0
    """Further projectors alike, of earlier layers, each with a norm of what it merged (DeepStack, arXiv 2406.04334)."""

    def width(self, hidden: int) -> int:
        """Width of what several patches became."""
        return hidden if self.pool else hidden * self.merge

    def matrices(self, hidden: int) -> list[tuple[int, int]]:
        """Widths, in and out, of its matrices."""
        return list(zip((self.width(hidden), *self.widths), self.widths, strict=False))
