"""Models of one form that take turns on a machine: it holds the weights of one, those of the others lie in a tier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from simulator.core import Activity
from simulator.serving.service.scheduler import Decision, Scheduler, View
from simulator.serving.service.waiting import ByModel


@dataclass(frozen=True)
class Home:
    """The tier where the weights of all models lie: `bytes` of each, of its `capacity`; and how one is copied."""

    tier: str
    bytes: float
    capacity: float
    load: Activity


class Turns:
    """Serves those that ask for the model that is loaded until none is left, by another scheduler; then the next one's.

    The next is the first by its name, in a circle, for which somebody waits; while nobody does, the last one stays.
    That is polling with exhaustive service and set-ups; who arrives during a turn, for its model, has a part in it.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler

    def decide(self, view: View) -> Decision:
        waiting, loaded = view.waiting, view.loaded
        assert isinstance(waiting, ByModel)
        if loaded is not None and (view.running or view.swapped or waiting.of(loaded)):
            return self.scheduler.decide(_seen(view))
        named = sorted(waiting.models())
        return Decision(load=next((name for name in named if loaded is not None and name > loaded), named[0]))

    def stable_until(self, view: View) -> float:
        return self.scheduler.stable_until(_seen(view))


def _seen(view: View) -> View:
    return cast(View, _Turn(view))


class _Turn:
    """A pool as the scheduler of one model sees it: those that wait for others do not."""

    def __init__(self, view: View) -> None:
        self._view = view

    @property
    def waiting(self) -> Any:
        view = self._view
        return cast(ByModel, view.waiting).of(view.loaded or "")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)
