"""Random reads of flash: how many bytes a second, by the size of a read and the threads that wait for one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal

from simulator.mapping.flash_read import throughput
from simulator.registry import register
from simulator.scenario.cases import Columns
from simulator.scenario.evaluator import EachAlone
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import at_key, machine, tiers
from simulator.units import Bytes


class FlashReads(Workload):
    """A long run of reads of one size, anywhere in the flash."""

    kind: Literal["flash_reads"]
    chunk: Bytes = 4096.0
    """Bytes that a read asks for."""


@register("evaluator", "flash_reads")
class FlashReadsEvaluator(EachAlone):
    """Reads chunks from the flash (`residency.home`) into the DRAM (`residency.cache`), in closed form.

    Each of `residency.threads` waits for one read at a time; `residency.packed` chunks lie end to end.
    """

    form = FlashReads
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("bandwidth", "B/s", "max", "bandwidth of random reads"),)
    needs: ClassVar[Collection[str]] = ("hardware",)
    mapping: ClassVar[Collection[str]] = ("residency",)
    residency: ClassVar[Collection[str]] = ("home", "cache", "threads", "packed")

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work, keeps, system = scenario.workload, scenario.mapping.residency, machine(scenario)
        assert isinstance(work, FlashReads)
        home, cache = tiers(scenario, system)
        with at_key("mapping", "residency"):
            rate = throughput(system, home, cache, work.chunk, keeps.threads, keeps.packed)
        return {"bandwidth": float(rate)}
