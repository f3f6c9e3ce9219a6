"""The kind of experiment `study`: a sweep of designs, and what it says."""

from __future__ import annotations

from simulator.baselines.study.form import StudyExperiment
from simulator.baselines.study.outcome import StudyOutcome
from simulator.baselines.study.run import StudyKind

__all__ = ["StudyExperiment", "StudyKind", "StudyOutcome"]
