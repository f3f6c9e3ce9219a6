"""Speculative decoding: tokens are drafted, and one pass of the model keeps those that it agrees with.

A small model drafts (Leviathan et al., arXiv 2211.17192; Chen et al., arXiv 2302.01318), a layer of the model itself
(multi-token prediction, arXiv 2412.19437, section 2.2), or a look-up of the last tokens in the text before them. What
is kept has the model's distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from simulator.core import Plan, Quantity
from simulator.errors import ConfigError
from simulator.mapping.form import Draft
from simulator.mapping.passes import Lowers, Passes, step_contexts
from simulator.workload import Batch, Model, Sequences, decode, prefill
from simulator.workload.model.predictor import predictor


@dataclass(frozen=True, eq=False)
class Speculation:
    """What drafts (None: a look-up, of no model), how many tokens a step, and how many a step gives on average.

    `length` counts those that were accepted and the one that the large model adds: 1 to `drafted + 1`. `acceptance` is
    the rate that it follows from, None where the length itself was stated.
    """

    draft: Model | None
    drafted: int
    length: float
    acceptance: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.length <= self.drafted + 1:
            expected = f"1 to {self.drafted + 1}, the {self.drafted} drafted tokens and one more"
            raise ConfigError(path=("draft", "accepted_length"), found=self.length, expected=expected)

    @property
    def name(self) -> str:
        """What drafts."""
        return self.draft.name if self.draft else "n-grams"

    def as_dict(self) -> dict[str, Any]:
        """As documents show it, the draft by its name."""
        return {
            "draft": self.name,
            "drafted": self.drafted,
            "acceptance": self.acceptance,
            "accepted_length": self.length,
        }


def drafting(model: Model, draft: Draft, load: Callable[[str], Model]) -> Model | None:
    """The model that drafts, in the formats that it is loaded in; None where a look-up does.

    Raises:
        ConfigError: no model where one drafts, or one where none does; none of its own layers predicts tokens.
    """
    if draft.kind == "model":
        if draft.model is None:
            raise ConfigError("missing key", path=("draft", "model"), expected="a model, or a kind: mtp or ngram")
        return load(draft.model)
    if draft.model is not None:
        raise ConfigError(path=("draft", "model"), found=f"'{draft.model}'", expected=f"none with kind: {draft.kind}")
    return predictor(model) if draft.kind == "mtp" else None


def speculate(model: Model, helper: Model | None, draft: Draft) -> Speculation:
    """How a `helper` drafts for a model, by the rate of acceptance or by the tokens that a step gives.

    Raises:
        ConfigError: neither or both of them; another vocabulary (sizes that differ by a hundredth are padding).
    """
    if helper and abs(helper.vocab - model.vocab) > 0.01 * model.vocab:
        found, expected = f"{helper.vocab:,}", f"the {model.vocab:,} tokens of {model.name}"
        raise ConfigError("a draft with another vocabulary", path=("draft",), found=found, expected=expected)
    stated = [value for value in (draft.acceptance, draft.accepted_length) if value is not None]
    if len(stated) != 1:
        found = "both" if stated else "neither"
        raise ConfigError(path=("draft",), found=found, expected="an acceptance or an accepted length")
    length = stated[0] if draft.acceptance is None else expected_length(draft.acceptance, draft.tokens)
    return Speculation(helper, draft.tokens, length, draft.acceptance)


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


def speculative(
    lowering: Lowers, model: Model, speculation: Speculation, batch: Quantity, input: int, output: int
) -> Passes:
    """Both models read the prompts before the first token; then steps of `length` tokens on average.

    Sequences of a batch go on at the mean rate. All devices share both models. A predictor drafts each further token
    from its own state, as vLLM runs it.
    """
    draft, drafted = speculation.draft, speculation.drafted
    contexts = step_contexts(input, output, speculation.length)

    def first() -> Plan:
        plan = Plan(model.name)
        for each in (model, draft) if draft else (model,):
            plan.add(lowering.plan(each, prefill(batch, input)))
        return plan

    @cache
    def compiled() -> tuple[Lowers, Lowers]:
        drafter = lowering.compiled(draft, lambda: _drafts(batch, drafted, contexts)) if draft else lowering
        return lowering.compiled(model, lambda: _verified(batch, drafted, contexts)), drafter

    def step(context: Quantity) -> Plan:
        verifier, drafter = compiled()
        return step_plan(verifier, model, draft, drafted, batch, context, drafter)

    return Passes(first, step, tokens=speculation.length)


def step_plan(
    lowering: Lowers,
    model: Model,
    draft: Model | None,
    drafted: int,
    batch: Quantity,
    context: Quantity,
    drafter: Lowers | None = None,
) -> Plan:
    """`drafted` decode steps of the draft, each over one token more, and a pass of the model over them and one more.

    The draft's steps are folded at their mean context: all that they demand is linear in it. `drafter` lowers the
    draft, where it is not the same. What is looked up takes no time.
    """
    plan = Plan(f"{model.name} with {draft.name}" if draft else model.name)
    if draft:
        plan.add((drafter or lowering).plan(draft, _drafts(batch, drafted, context)), repeat=drafted)
    plan.add(lowering.plan(model, _verified(batch, drafted, context)))
    return plan


def _drafts(batch: Quantity, drafted: int, context: Quantity) -> Batch:
    """The mean of the draft's steps."""
    return decode(batch, context + (drafted - 1) / 2)


def _verified(batch: Quantity, drafted: int, context: Quantity) -> Batch:
    """The model's pass over what was drafted, and one token more."""
    return (Sequences(batch, drafted + 1, context, scored=True),)
