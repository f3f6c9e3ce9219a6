"""Speculative decoding: a small model drafts tokens, and one pass of the large one keeps those that it agrees with.

Leviathan et al., arXiv 2211.17192; Chen et al., arXiv 2302.01318. What is kept has the large model's distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulator.core import Plan, Quantity, closed_form
from simulator.errors import ConfigError
from simulator.mapping.lowering import compiled, model_plan
from simulator.mapping.target import Target
from simulator.serving.generation import Passes, step_contexts
from simulator.workload import Batch, Model, Sequences, decode, operator_graph, prefill


@dataclass(frozen=True, eq=False)
class Speculation:
    """A draft model, how many tokens it drafts a step, and how many tokens a step gives on average.

    `length` counts those that were accepted and the one that the large model adds: 1 to `drafted + 1`. `acceptance` is
    the rate that it follows from, None where the length itself was stated.
    """

    draft: Model
    drafted: int
    length: float
    acceptance: float | None = None

    def __post_init__(self) -> None:
        if self.drafted < 1:
            raise ConfigError(path="drafted", found=self.drafted, expected="1 or more")
        if not 1 <= self.length <= self.drafted + 1:
            expected = f"1 to {self.drafted + 1}, the {self.drafted} drafted tokens and one more"
            raise ConfigError(path="accepted_length", found=self.length, expected=expected)

    def as_dict(self) -> dict[str, Any]:
        """As documents show it, the draft by its name."""
        return {
            "draft": self.draft.name,
            "drafted": self.drafted,
            "acceptance": self.acceptance,
            "accepted_length": self.length,
        }


def speculate(
    draft: Model | None, drafted: int, acceptance: float | None, accepted_length: float | None
) -> Speculation | None:
    """Speculation as asked for, by the rate of acceptance or by the tokens that a step gives; None without a draft.

    Raises:
        ConfigError: neither or both of them, or one without a draft.
    """
    given = [value for value in (acceptance, accepted_length) if value is not None]
    if draft is None:
        if given:
            raise ConfigError(path="draft", found="none", expected="a model that drafts what is accepted")
        return None
    if len(given) != 1:
        found = "both" if given else "neither"
        raise ConfigError("speculation", found=found, expected="an acceptance or an accepted length")
    length = given[0] if acceptance is None else expected_length(acceptance, drafted)
    return Speculation(draft, drafted, length, acceptance)


def expected_length(acceptance: float, drafted: int) -> float:
    """Mean tokens a step: `(1 - a^(k + 1)) / (1 - a)` of k drafted tokens, each accepted with probability a.

    `a + a^2 + ... + a^k` accepted ones, as none counts after the first that is not, and one of the large model
    (Leviathan et al., equation 1).

    Raises:
        ConfigError: a rate outside 0 to 1.
    """
    if not 0 <= acceptance <= 1:
        raise ConfigError(path="acceptance", found=acceptance, expected="a rate from 0 to 1")
    return float(sum(acceptance**i for i in range(drafted + 1)))


def implied_acceptance(length: float, drafted: int) -> float:
    """The rate that gives so many tokens a step: `expected_length` solved for a, by bisection.

    Raises:
        ConfigError: a length outside 1 to `drafted + 1`.
    """
    if not 1 <= length <= drafted + 1:
        raise ConfigError(path="accepted_length", found=length, expected=f"1 to {drafted + 1}")
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expected_length(middle, drafted) < length else (low, middle)
    return (low + high) / 2


def implied_length(
    target: Target, model: Model, draft: Model, drafted: int, context: float, tokens_per_s: float, batch: int = 1
) -> float:
    """The tokens a step that a measured rate implies: `tokens_per_s * seconds of a step`, of one sequence.

    Below 1 or above `drafted + 1` no acceptance explains the rate: draft, depth or machine are other ones.
    """
    return tokens_per_s * float(closed_form(step_plan(target, model, draft, drafted, batch, context)).time)


def speculative(target: Target, model: Model, speculation: Speculation, batch: int, input: int, output: int) -> Passes:
    """Both models read the prompts before the first token; then steps of `length` tokens on average.

    Sequences of a batch go on at the mean rate. All devices share both models.

    Raises:
        ConfigError: the draft has another vocabulary (sizes that differ by a hundredth are padding).
    """
    draft, drafted = speculation.draft, speculation.drafted
    if abs(draft.vocab - model.vocab) > 0.01 * model.vocab:
        expected = f"the {model.vocab:,} tokens of {model.name}"
        raise ConfigError("a draft with another vocabulary", path="draft", found=f"{draft.vocab:,}", expected=expected)

    def first() -> Plan:
        plan = Plan(model.name)
        for each in (model, draft):
            plan.add(model_plan(target, each, prefill(batch, input)))
        return plan

    contexts = step_contexts(input, output, speculation.length)
    drafter = compiled(target, lambda: operator_graph(draft, _drafts(batch, drafted, contexts)).blocks)
    verifier = compiled(target, lambda: operator_graph(model, _verified(batch, drafted, contexts)).blocks)
    return Passes(
        first,
        lambda context: step_plan(verifier, model, draft, drafted, batch, context, drafter),
        tokens=speculation.length,
    )


def step_plan(
    target: Target,
    model: Model,
    draft: Model,
    drafted: int,
    batch: int,
    context: Quantity,
    drafter: Target | None = None,
) -> Plan:
    """`drafted` decode steps of the draft, each over one token more, and a pass of the model over them and one more.

    The draft's steps are folded at their mean context: all that they demand is linear in it. `drafter` runs the draft,
    where it is not the same target.
    """
    plan = Plan(f"{model.name} with {draft.name}")
    plan.add(model_plan(drafter or target, draft, _drafts(batch, drafted, context)), repeat=drafted)
    plan.add(model_plan(target, model, _verified(batch, drafted, context)))
    return plan


def _drafts(batch: int, drafted: int, context: Quantity) -> Batch:
    """The mean of the draft's steps."""
    return decode(batch, context + (drafted - 1) / 2)


def _verified(batch: int, drafted: int, context: Quantity) -> Batch:
    """The model's pass over what was drafted, and one token more."""
    return (Sequences(batch, drafted + 1, context, scored=True),)
