"""Embeddings that each layer has of its own: a table that is looked up by token and may lie in a slow memory."""

from __future__ import annotations

from simulator.config.section import Section
from simulator.workload.model.types import Count


class PerLayer(Section):
    """One table of `vocab` rows, each with `width` numbers for each layer (Gemma 3n, Gemma 4 E2B).

    They are added to a projection of the token's embedding; behind each layer, a gate of `hidden x width` multiplies
    them, and a projection of `width x hidden` adds them to the residual stream.
    """

    vocab: Count
    """How many tokens the table has."""
    width: Count
    """Numbers of a token and layer."""
