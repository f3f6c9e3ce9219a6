"""Search: the best designs of a space too large to enumerate, by methods registered by name."""

from __future__ import annotations

from simulator.study.search import design, local, samplers, tpe
from simulator.study.search.run import SearchResult, search
from simulator.study.search.seen import Method, Seen, Space

__all__ = ["Method", "SearchResult", "Seen", "Space", "design", "local", "samplers", "search", "tpe"]
