"""What a layer does to each token by itself: a dense feed-forward network, or a mixture of experts."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from simulator.config.section import Section
from simulator.workload.model.types import Activation, Count, Flag, Width


class Ffn(Section):
    """A dense feed-forward network (FFN)."""

    intermediate: Count
    """Width of the inner layer."""
    matrices: Literal[2, 3]
    """How many matrices: 2 are up and down, 3 have a gate that multiplies what goes up."""
    activation: Activation
    """The activation function."""
    bias: Flag = False
    """Whether its matrices have biases."""
    vectors: Width = 0
    """Further parameters that are vectors, such as those of an activation (Apertus)."""


class Moe(Section):
    """A mixture of experts in place of the FFN."""

    experts: Count
    """How many routed experts a layer has."""
    top_k: Count
    """How many of them each token goes to."""
    intermediate: Count
    """Width of the inner layer of one routed expert."""
    matrices: Literal[2, 3]
    """How many matrices an expert has: 2 are up and down, 3 have a gate that multiplies what goes up."""
    activation: Activation
    """The activation function of an expert."""
    shared_intermediate: Width = 0
    """Width of the inner layer of all shared experts together, which see every token; 0: there are none."""
    shared_gate: Flag = False
    """Whether a gate of one output a token multiplies what the shared experts make."""
    router_bias: Flag = False
    """Whether the router has a bias, one number an expert."""
    balance_bias: Flag = False
    """Whether a number an expert balances the load (DeepSeek-V3): stored, and no parameter, as it is not trained."""
    bias: Flag = False
    """Whether the matrices of routed experts have biases (gpt-oss)."""
    latent: Count | None = None
    """Width that tokens are projected to before routed experts, and back from after them (Nemotron 3 Super)."""
    norms: Width = 0
    """Norms of the hidden width inside, beside those of the layer: three in Gemma 4, around experts and shared FFN."""
    vectors: Width = 0
    """Further parameters that are vectors, such as scales of a router."""
    first_layer: Width = 0
    """The first layer with experts, counted from 0; those before it have the dense FFN."""
    every: Count = 1
    """From the first on, every so many-th layer has experts; those between have the dense FFN."""

    @model_validator(mode="after")
    def _top_k_fits(self) -> Self:
        if self.top_k > self.experts:
            raise ValueError(f"top_k {self.top_k} of {self.experts} experts")
        return self

    @property
    def expert(self) -> Ffn:
        """One routed expert."""
        return Ffn(intermediate=self.intermediate, matrices=self.matrices, activation=self.activation, bias=self.bias)

    @property
    def shared(self) -> Ffn | None:
        """The shared experts as one FFN."""
        if not self.shared_intermediate:
            return None
        return Ffn(intermediate=self.shared_intermediate, matrices=self.matrices, activation=self.activation)
