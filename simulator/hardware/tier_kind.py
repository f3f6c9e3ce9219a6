"""What sets one kind of memory apart from another, beside its figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TierKind:
    """What a machine may say of a tier of a kind, and where such a tier lies; registered (`tier`) under its name."""

    on_chip: bool = False
    """Whether it is on the die, as part of its area and of no stack, module or drive."""
    pages: bool = False
    """Whether it is read in pages, as a section `flash` describes."""
