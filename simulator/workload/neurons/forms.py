"""The form of what says which neurons are active: a law, two populations, or a recording."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from simulator.config.refused import refused
from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.files import reason, remembered
from simulator.units import Count, Fraction, Seed, Unit
from simulator.workload.neurons.files import load_neurons
from simulator.workload.neurons.hot_cold import HotCold, hot_cold
from simulator.workload.neurons.predicted import predicted
from simulator.workload.neurons.trace import NeuronTrace
from simulator.workload.neurons.window_law import WindowLaw, renewal

Portion: TypeAlias = Annotated[float, Unit("1"), Field(ge=0, le=1)]


class LawActivity(Section):
    """The window law through two values."""

    kind: Literal["law"]
    window: Count
    """Tokens of which the share is known."""
    share: Fraction
    """Share of the neurons of a layer that so many tokens use."""
    increment: Fraction
    """What one token more adds to it."""

    @model_validator(mode="after")
    def _has_a_law(self) -> Self:
        with refused():
            self.law()
        return self

    def law(self) -> WindowLaw:
        """The law through both values."""
        return WindowLaw.fitted(self.window, self.share, self.increment)


class HotColdActivity(Section):
    """Hot neurons and cold ones; each is active with its own rate, independently."""

    kind: Literal["hot_cold"]
    hot: Fraction
    """Share of hot neurons."""
    hot_rate: Fraction
    """Share of tokens at which a hot one is active."""
    cold_rate: Fraction
    """Share of tokens at which a cold one is active."""

    def populations(self) -> HotCold:
        """Both populations."""
        return HotCold(self.hot, self.hot_rate, self.cold_rate)


class RecordedActivity(Section):
    """Recorded activations."""

    kind: Literal["recorded"]
    file: str
    """CSV or NPZ, as `workload/neurons/files.py` has it."""


Activity: TypeAlias = Annotated[LawActivity | HotColdActivity | RecordedActivity, Field(discriminator="kind")]


class PredictorErrors(Section):
    """How often a predictor is wrong, at each token and neuron independently."""

    false_negatives: Portion = 0.0
    """Of active neurons, those that it misses."""
    false_positives: Portion = 0.0
    """Of the others, those that it names."""


class ActiveNeurons(Section):
    """Which neurons of a feed-forward layer are active at each token; with a predictor, which it names."""

    share: Fraction = 0.1
    """Share of the neurons of a layer that are active at a token."""
    exponent: Fraction = 0.5228
    """Of the growth with tokens: `share k^exponent` are active at k tokens together (`window_law.py`)."""
    activity: Activity | None = None
    """Which neurons are active; null: those of the law of `share` and `exponent`."""
    share_by_layer: Annotated[tuple[Fraction, ...], Field(min_length=1)] | None = None
    """What layers activate in proportion, spread from the first to the last; null: all alike."""
    errors: PredictorErrors | None = None
    """Of the predictor; null: `activity` is what it names."""
    seed: Seed = 0
    """Of the draws."""

    @property
    def law(self) -> WindowLaw | None:
        """The law of what is active; None where it has none."""
        if self.activity is None:
            return WindowLaw(self.share, self.exponent)
        return self.activity.law() if isinstance(self.activity, LawActivity) else None

    @property
    def alike(self) -> bool:
        """Whether all layers have the same law."""
        return self.share_by_layer is None and not isinstance(self.activity, RecordedActivity)

    @property
    def unread(self) -> dict[str, str]:
        """The keys that the activity takes no part in, and of each why."""
        if self.activity is None:
            return {}
        keys = ["share", "exponent"]
        keys += ["seed"] if isinstance(self.activity, RecordedActivity) and self.errors is None else []
        return dict.fromkeys(keys, f"an activity of kind '{self.activity.kind}'")

    def trace(self, layers: int, neurons: int, tokens: int) -> NeuronTrace:
        """The active neurons of so many layers at so many tokens.

        Raises:
            ConfigError: a recording of others, or of fewer tokens; shares by layer beside a recording.
        """
        trace = self._active(layers, neurons, tokens)
        errors = self.errors
        return predicted(trace, errors.false_negatives, errors.false_positives, self.seed) if errors else trace

    def _active(self, layers: int, neurons: int, tokens: int) -> NeuronTrace:
        if isinstance(self.activity, RecordedActivity):
            if self.share_by_layer:
                expected = "none: the recording has them"
                raise ConfigError(path="share_by_layer", found="a share of each layer", expected=expected)
            return _recorded(self.activity.file, layers, neurons, tokens)
        by_layer = None
        if known := self.share_by_layer:
            by_layer = np.interp(np.linspace(0, 1, layers), np.linspace(0, 1, len(known)), known).tolist()
        if isinstance(self.activity, HotColdActivity):
            return hot_cold(self.activity.populations(), layers, neurons, tokens, self.seed, by_layer)
        assert self.law
        return renewal(self.law, layers, neurons, tokens, self.seed, by_layer)


def digest(file: str) -> str:
    """The SHA-256 of a recording, which says of what a result was made. Raises `ConfigError`: it cannot be read."""
    try:
        return sha256(Path(file).read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {reason(error)}", file=file) from None


@remembered(8)
def _recorded(file: str, layers: int, neurons: int, tokens: int) -> NeuronTrace:
    """The first tokens of a recording; one object for equal arguments."""
    trace = load_neurons(file, neurons, layers)
    if trace.tokens < tokens:
        raise ConfigError("recorded tokens", file=file, found=trace.tokens, expected=f"{tokens} or more")
    return replace(trace, tokens=tokens, draw=lambda layer: islice(trace.draw(layer), tokens))
