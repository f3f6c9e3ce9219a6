"""Hypothesis tries the same examples everywhere, and no clock decides a test."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("tiersim", max_examples=30, deadline=None, derandomize=True, database=None)
settings.load_profile("tiersim")
