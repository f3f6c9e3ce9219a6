"""How the FFN of a model lies in flash, and what of the model stays in DRAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload import Model, decode, operator_graph, weight_bytes
from simulator.workload.formats.storage import element_bytes
from simulator.workload.model.feedforward import Ffn


@dataclass(frozen=True, eq=False)
class Stored:
    """A model whose FFN neurons are read from flash: a row of up (and gate) and a column of down each.

    Attributes:
        model: with one dense FFN a layer (`one_ffn`).
        reads_per_neuron: that bring all its rows: 1 where they lie together (row-column bundling).
        together: neurons that a read brings: 2 where each lies beside a friend.
        ranks: of the predictor of each layer; 0 where a layer has none.
    """

    model: Model
    reads_per_neuron: float
    ranks: NDArray[np.float64]
    together: int = 1

    @property
    def neurons(self) -> int:
        """Of a layer."""
        return self._ffn.intermediate

    @property
    def neuron_bytes(self) -> float:
        """Its rows of all matrices."""
        names = ("up", "gate", "down") if self._ffn.matrices == 3 else ("up", "down")
        return self.model.hidden * sum(element_bytes(self.model, f"ffn.{name}_proj") for name in names)

    @property
    def read_bytes(self) -> float:
        """That one read asks for."""
        return self.neuron_bytes * self.together / self.reads_per_neuron

    @property
    def ffn_bytes(self) -> float:
        """Of all neurons of all layers; biases are among what stays."""
        return self.model.layers * self.neurons * self.neuron_bytes

    @property
    def fixed_bytes(self) -> float:
        """Of what stays in DRAM whatever the policy: all weights that are no neuron's, and the predictors."""
        return weight_bytes(self.model) - self.ffn_bytes + self.predictor_bytes

    @property
    def predictor_bytes(self) -> float:
        """`sum_layers rank (hidden + neurons)` weights."""
        down, up = (element_bytes(self.model, f"predictor.{name}_proj") for name in ("down", "up"))
        return float(self.ranks.sum()) * (self.model.hidden * down + self.neurons * up)

    @property
    def token_bytes(self) -> float:
        """Weights that a token needs with no sparsity: all but the rows of the embedding that it does not look up."""
        return float(operator_graph(self.model, decode(1, 1)).totals().bytes["weight"])

    @property
    def _ffn(self) -> Ffn:
        assert self.model.ffn
        return self.model.ffn


def stored(
    model: Model,
    bundle: int | None = None,
    ranks: Sequence[tuple[int, int]] = (),
    split: int | None = None,
) -> Stored:
    """How a model is stored.

    Args:
        model: dense, or a mixture of experts (`one_ffn`).
        bundle: rows of a neuron that one read brings; all of them if None.
        ranks: pairs of a predictor's rank and how many layers have it, from the first on.
        split: in how many reads all rows of a neuron come, whatever lies together.

    Raises:
        ConfigError: a bundle of more rows than a neuron has; ranks of another number of layers.
    """
    model = one_ffn(model)
    assert model.ffn
    most = model.ffn.matrices
    if bundle is not None and not 1 <= bundle <= most:
        raise ConfigError(path="bundle", found=bundle, expected=f"1 to {most}, the rows of a neuron of {model.name}")
    each = np.concatenate([np.full(layers, float(rank)) for rank, layers in ranks or [(0, model.layers)]])
    if len(each) != model.layers:
        raise ConfigError(path="ranks", found=f"{len(each)} layers", expected=f"the {model.layers} of {model.name}")
    return Stored(model, float(split) if split else most / (bundle or most), each)


def one_ffn(model: Model) -> Model:
    """The model with one wide FFN in place of a mixture of experts: a neuron of any expert is one of its neurons.

    A token then has the share `top_k / experts` of the share of active neurons in an expert; the router is not counted.

    Raises:
        ConfigError: a model with both dense and MoE layers, or with shared experts.
    """
    moe = model.moe
    if moe is None:
        return model
    if not all(layer.moe for layer in model.decoder) or moe.shared:
        expected = "the same mixture of experts in all layers, and none shared"
        raise ConfigError("neurons from flash", path="model", found=f"'{model.name}'", expected=expected)
    ffn = Ffn(intermediate=moe.experts * moe.intermediate, matrices=moe.matrices, activation=moe.activation)
    return Model.model_validate(model.model_dump() | {"moe": None, "ffn": ffn.model_dump()})  # not its cached layers
