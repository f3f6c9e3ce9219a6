"""How many neurons some successive tokens use between them: of a law, of a trace, of two populations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import nan
from typing import Any, ClassVar, Literal, NoReturn

import numpy as np

from simulator.mapping.neurons.stored import stored
from simulator.registry import register
from simulator.scenario.cases import Columns
from simulator.scenario.evaluator import no_plan
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import at_key, model
from simulator.units import Count
from simulator.workload.neurons.forms import ActiveNeurons, HotColdActivity, digest
from simulator.workload.neurons.hot_cold import HotCold, fit_hot_cold
from simulator.workload.neurons.trace import share

SPAN = "workload.span"


class NeuronUsage(Workload, ActiveNeurons):
    """Tokens of one sequence, of which each activates some neurons of every layer."""

    kind: Literal["neuron_usage"]
    span: Count = 1
    """Successive tokens."""
    tokens: Count = 1000
    """Tokens that are traced."""
    fitted_to: Count = 30
    """Two populations are fitted to the law at 1 to so many tokens."""


@register("evaluator", "neuron_usage")
class NeuronUsageEvaluator:
    """Counts the neurons of the layers of a model that `span` tokens use, and what one token more adds.

    Means over layers and over all spans of the trace. Two populations are those of the activity, or those nearest to
    its law; missing is the share of a law that the activity lacks.
    """

    form = NeuronUsage
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("law_share", "1", None, "neurons used, by the law"),
        Metric("trace_share", "1", None, "neurons used, in a trace"),
        Metric("hot_cold_share", "1", None, "neurons used, two populations"),
        Metric("law_increment", "1", None, "neurons added, by the law"),
        Metric("trace_increment", "1", None, "neurons added, in a trace"),
        Metric("hot_cold_increment", "1", None, "neurons added, two populations"),
    )
    needs: ClassVar[Collection[str]] = ("model",)
    mapping: ClassVar[Collection[str]] = ()
    kinds: ClassVar[Mapping[str, str]] = {}
    files: ClassVar[Mapping[str, Callable[[str], Any]]] = {"workload.activity.file": digest}
    vectorised: ClassVar[bool] = True
    requires: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """The keys of another activity; and to how many tokens two populations are fitted, where there is no law."""
        work = scenario.workload
        assert isinstance(work, NeuronUsage)
        keys = work.unread | ({} if work.law else {"fitted_to": "an activity without a law"})
        return {f"workload.{key}": why for key, why in keys.items()}

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        return [path for path in paths if path == SPAN]

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work, kept = scenario.workload, stored(model(scenario))
        assert isinstance(work, NeuronUsage)
        spans = np.asarray(columns.get(SPAN, [work.span]), dtype=np.int64)
        after = spans + 1
        shares = {}
        if law := work.law:
            shares["law"] = law.at(spans), law.at(after)
        if two := _populations(work):
            shares["hot_cold"] = two.at(spans), two.at(after)
        if {"trace_share", "trace_increment"} & set(wanted):
            with at_key("workload"):
                trace = work.trace(kept.model.layers, kept.neurons, work.tokens)
            traced = share(trace, np.concatenate([spans, after]))
            shares["trace"] = traced[: len(spans)], traced[len(spans) :]
        none = {metric.name: nan for metric in NeuronUsageEvaluator.metrics}
        counted = {f"{name}_share": at for name, (at, _) in shares.items()}
        return none | counted | {f"{name}_increment": more - at for name, (at, more) in shares.items()}

    @staticmethod
    def detail(scenario: Scenario) -> NoReturn:
        raise no_plan(scenario)


def _populations(work: NeuronUsage) -> HotCold | None:
    if isinstance(work.activity, HotColdActivity):
        return work.activity.populations()
    return fit_hot_cold(work.law, work.fitted_to) if work.law else None
