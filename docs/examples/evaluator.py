"""A kind of workload: bytes that are copied from one tier to another."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, NoReturn

from simulator.plugin import Bytes, Columns, Metric, Scenario, Workload, alone, machine, no_plan, register, transfer


class Copies(Workload):
    """One copy between two tiers of an idle machine."""

    kind: Literal["copies"]
    bytes: Bytes = 1e9
    """Bytes to copy."""
    source: str = "host"
    """The tier that they come from, by its full name."""
    target: str
    """The tier that they go to, by its full name."""


@register("evaluator", "copies")
class CopiesEvaluator:
    """Times a copy over all links that join the two tiers."""

    form = Copies
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("time_s", "s", "min", "time of the copy"),
        Metric("bandwidth", "B/s", "max", "bandwidth achieved"),
    )
    needs: ClassVar[Collection[str]] = ("hardware",)
    mapping: ClassVar[Collection[str]] = ()
    kinds: ClassVar[Mapping[str, str]] = {}
    vectorised: ClassVar[bool] = False
    requires: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        return []

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work = scenario.workload
        assert isinstance(work, Copies)
        time = float(alone(transfer(machine(scenario), work.bytes, work.source, work.target)))
        return {"time_s": time, "bandwidth": work.bytes / time}

    @staticmethod
    def detail(scenario: Scenario) -> NoReturn:
        raise no_plan(scenario)
