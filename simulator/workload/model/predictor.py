"""The layer of a model that predicts the token after the next one, as a model of its own that drafts for it."""

from __future__ import annotations

from typing import Any

from simulator.errors import ConfigError
from simulator.workload.model.form import Model


class Predictor(Model):
    """One module for multi-token prediction (DeepSeek-V3, arXiv 2412.19437, section 2.2).

    It joins the hidden state of a token and the embedding of the next one, both normalised, in a projection, and goes
    through one layer. Embedding and head are those of the model, and not kept again.
    """

    __hash__ = Model.__hash__


def predictor(model: Model) -> Predictor:
    """The first module of a model that predicts further tokens; its layer is as the last of the model.

    Raises:
        ConfigError: the model has none.
    """
    if not model.predict_layers:
        expected = f"a model with layers that predict further tokens, which {model.name} has not; model or ngram"
        raise ConfigError(path=("draft", "kind"), found="'mtp'", expected=expected)
    last = model.decoder[-1]
    own: dict[str, Any] = {"name": f"{model.name}'s predictor", "aliases": (), "layers": 1, "published": None}
    if model.pattern:
        own["pattern"] = (model.pattern[(model.layers - 1) % len(model.pattern)],)
    else:
        assert last.attention  # as a model without a pattern has
        own["attention"] = last.attention.model_copy(update={"window_pattern": (True,)})
        own["moe"] = model.moe.model_copy(update={"first_layer": 0, "every": 1}) if model.moe and last.moe else None
    fields = {name: getattr(model, name) for name in Model.model_fields}
    return Predictor.model_construct(**fields | own)
