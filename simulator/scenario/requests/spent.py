"""What a service spends on its tokens: energy, money, and the share of each resource of the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

from simulator.core.account import Term, energy, joules
from simulator.hardware import System
from simulator.hardware.energy import missing, static_power
from simulator.mapping.deployment import Deployment
from simulator.mapping.parallel.serving_stages import ranked
from simulator.scenario.costs import costs_of, life
from simulator.scenario.form import Scenario
from simulator.scenario.metric import Metric
from simulator.scenario.parts import deployment
from simulator.scenario.requests.service import Run
from simulator.serving.kv.sequences import LINK
from simulator.serving.service.pool import Pool
from simulator.serving.service.work import demand

NODES = "node->node"
"""The link of a node to others."""
PRICE = Metric("usd_per_million_tokens", "USD", "min", "price of the machines over their life", per="million tokens")


@dataclass(frozen=True)
class Spent:
    """What a run spends.

    Attributes:
        metrics: joules and dollars of its tokens, and the costs of its machine; NaN where a figure is not known.
        utilisation: of each resource the units that are demanded over those that it could serve in the span of the
            run, on the mean of all replicas, of a link to those that decode of all that have one, of the link of a node
            for all ranks that share it: of a memory, of its bandwidth; of an engine, of its peak rate.
        lacks: keys of the figures that the machine lacks for its energy.
    """

    metrics: Mapping[str, Any]
    utilisation: Mapping[str, float]
    lacks: tuple[str, ...]


def spent(scenario: Scenario, run: Run) -> Spent:
    """What a run of a scenario spends, from the first arrival to the last token.

    Energy is that of the demands of its iterations, of all copies of keys and values (between tiers, of sequences that
    lose their room, over links), and the static power of all its machines over the span; money the price of these over
    the life that the table of costs has for a machine. Either by the tokens of answers.
    """
    deployed, pools = ranked(deployment(scenario, requests=True)), run.pools
    seconds, tokens, machines = run.figures.seconds, run.figures.output, machines_of(deployed, pools)
    costs = costs_of(scenario, deployed.system, deployed.model)
    if not run.figures.ended or not seconds:
        return Spent({**costs, "energy_per_token_j": nan, PRICE.name: nan}, {}, ())
    units_of = demand(pools[0].iterations, [pool.work for pool in pools])
    terms = (*energy(units_of, deployed.parallel.context), *energy(static_power(deployed.system, seconds * machines)))
    total = joules(terms)
    number: dict[str, float] = {LINK: len(run.service.first)}
    if deployed.ranks:
        number[NODES] = min(len(pools), machines * deployed.system.machine.nodes)
    utilisation: dict[str, float] = {}
    for resource, units in units_of.items():
        share = units / (float(resource.capacity) * seconds * number.get(resource.name, len(pools)))
        utilisation[resource.name] = utilisation.get(resource.name, 0.0) + share
    metrics = {
        **costs,
        "energy_per_token_j": nan if total is None else float(total) / tokens,
        PRICE.name: costs["price_usd"] * machines * seconds / life(scenario) / tokens * 1e6,
    }
    return Spent(metrics, utilisation, _lacks(deployed.system, terms))


def machines_of(deployed: Deployment, pools: Sequence[Pool]) -> float:
    """How many machines have these pools: each of its nodes one, or one for each stage of a pipeline."""
    return len(pools) / (deployed.nodes * deployed.parallel.pipeline)


def _lacks(system: System, terms: Sequence[Term]) -> tuple[str, ...]:
    """The keys of the figures that an energy lacks: of the machine, and of the link that its mapping states."""
    of_link = any(term.name == LINK and term.each is None for term in terms)
    keys = missing(system, [term for term in terms if term.name != LINK])
    return (*keys, "mapping.kv_store.link_energy") if of_link else keys
