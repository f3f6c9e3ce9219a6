"""A model in other formats than its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from simulator.config.choose import check_name
from simulator.errors import ConfigError
from simulator.workload import Model
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT, Dtype
from simulator.workload.formats.named import COMPUTING, KV, computing


def in_formats(
    model: Model,
    dtype: str | None = None,
    kv: str | None = None,
    activations: str | None = None,
    compute: str | None = None,
) -> Model:
    """A model with weights, KV cache, activations and products in other formats, or as they are (None).

    A number format of 16 bits or more is that of everything. Any other format is of weights, and says what products
    with them compute in (`workload/formats/named.py`); activations, and the KV cache unless `kv` says, stay.

    Raises:
        ConfigError: no such format, or one that does not say what computes.
    """
    changes: dict[str, Any] = {}
    if dtype is not None:
        try:
            changes |= {"weights": computing(dtype), "compute": None, "group": None, "wide": None, "mixed": ()}
        except ValueError as error:
            raise ConfigError(str(error), path="dtype") from None
        check_name(dtype, COMPUTING, "dtype")
        if BYTES_PER_ELEMENT.get(cast("Dtype", dtype), 0) >= 2:
            changes |= {"activations": dtype, "kv": dtype}
    known: dict[str, Collection[str]] = {
        "kv": list(KV),
        "activations": list(BYTES_PER_ELEMENT),
        "compute": list(BYTES_PER_ELEMENT),
    }
    for key, name in (("kv", kv), ("activations", activations), ("compute", compute)):
        if name is not None:
            changes[key] = check_name(name, known[key], key)
    if not changes:
        return model
    scales = {} if dtype is None else {"weight_scales": 0.0}
    return model.model_copy(update={"dtypes": model.dtypes.model_copy(update=changes), **scales})
