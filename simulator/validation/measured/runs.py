"""Measured runs as scenarios: what each asks, and which metric of it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.validation.measured.aliases import meant
from simulator.workload.model.load import load_model

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {"fp4": "nvfp4", "int4": "w4a16", "fp8_block": "fp8-block"}
"""Types of the data that formats of ours have other names for; the rest are the same in lower case."""

IN_BLOCKS = r"Qwen3.*-FP8|DeepSeek-(?:V3|R1)"
"""Models whose checkpoint in 8 bits has a scale for each block of weights, whatever the data call it."""

NODE = 8  # devices of a node, at most

LONGEST = 2.0**20
"""Context of a model that was run over more tokens than it was made for: its times do not hang on that."""

SERVED = "a serving run: its requests are not in the row"
UNSTATED = "its batch or a length is not stated"
EXPERTS = "experts on several devices each: no model of that in a static batch"
RANKS = "attention of other requests on each device: no model of that in a static batch"
QUEUED = "TTFT of a closed loop hangs on its queue"


def cases_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The scenario of each run: columns by the paths of one, `metric` of its evaluator, what was `measured` of it.

    Times are seconds: a rate of tokens becomes the time of the batch that it stands for. `error` says why a row asks
    nothing that a static batch answers. `model.moe.experts` is the fewest that all tokens may choose, for a limit.
    """
    answer = _questions(rows).join(_devices(rows))
    answer["model"] = rows["model"].map(lambda name: meant(name, "workloads/models"))
    answer["mapping.dtype"], answer["mapping.kv"] = rows["dtype"].map(_format), rows["kv_dtype"].map(_format)
    in_blocks = rows["model"].astype("string").str.contains(IN_BLOCKS).fillna(False) & rows["dtype"].eq("fp8")
    answer["mapping.dtype"] = answer["mapping.dtype"].mask(in_blocks, "fp8-block")
    answer["workload.batch"] = rows["batch"]
    answer["workload.input"] = rows["input_len"].clip(lower=1)
    answer["workload.output"] = rows["output_len"].mask(answer["workload.phase"].eq("prefill"), 1.0)
    models = {name: load_model(name) for name in answer["model"].dropna().unique()}
    experts = {name: model.moe.top_k for name, model in models.items() if model.moe}
    answer["model.moe.experts"] = answer["model"].map(experts).astype(float)
    most = answer["model"].map({name: model.max_context for name, model in models.items()})
    tokens = answer["workload.input"] + answer["workload.output"]
    answer["model.max_context"] = np.where(tokens > most, LONGEST, np.nan)
    for bad, why in _gaps(rows, answer):
        answer["error"] = answer["error"].mask(bad & answer["error"].eq(""), why)
    return answer


def _questions(rows: pd.DataFrame) -> pd.DataFrame:
    """The phase of a static batch, the metric of it and what was measured of that, by the first rule that holds."""
    import pandas as pd

    batch, value, phase = rows["batch"], rows["value"], rows["phase"].astype("string")
    metric = rows["metric"].astype("string")
    answers = batch * rows["output_len"]  # tokens
    closed = rows["loop"].eq("closed") if "loop" in rows else pd.Series(False, rows.index)
    rules: list[tuple[Any, ...]] = [
        (metric.str.contains(r"_p\d+$") | phase.isin(["server", "offline"]), "", "", np.nan, SERVED),
        (metric.eq("ttft") & closed, "", "", np.nan, QUEUED),
        (metric.eq("ttft"), "prefill", "ttft_s", value, ""),
        (metric.eq("latency") & rows["output_len"].le(1), "prefill", "ttft_s", value, ""),
        (metric.eq("latency"), "request", "e2e_s", value, ""),
        (metric.eq("tpot"), "decode", "tbt_s", value, ""),
        (metric.eq("throughput") & phase.eq("prefill"), "prefill", "ttft_s", batch * rows["input_len"] / value, ""),
        (metric.eq("throughput") & phase.eq("decode"), "decode", "tbt_s", batch / value, ""),
        (metric.eq("throughput_output"), "request", "e2e_s", answers / value, ""),
        (metric.eq("throughput_output_per_gpu"), "request", "e2e_s", answers / value / rows["n_devices"], ""),
        (metric.eq("avg_power"), "request", "power_w", value, ""),
    ]
    otherwise = ("", "", np.nan, "no model of the metric")
    conditions = [rule[0].fillna(False).to_numpy(bool) for rule in rules]
    names = ("workload.phase", "metric", "measured", "error")
    parts = {
        name: np.select(conditions, [np.broadcast_to(rule[place], len(rows)) for rule in rules], otherwise[place - 1])
        for place, name in enumerate(names, start=1)
    }
    return pd.DataFrame(parts, index=rows.index)


def _devices(rows: pd.DataFrame) -> pd.DataFrame:
    """Devices, tensor-parallel unless a row says that they are stages; above `NODE`, in nodes of a divisor of it."""
    import pandas as pd

    pipeline = rows["pp"].fillna(1)
    tensor = rows["tp"].fillna(rows["n_devices"] / pipeline)
    devices = tensor * pipeline
    inside = devices.where(devices <= NODE, np.gcd(devices.fillna(1).astype(int), NODE))
    sized = {"sized.devices": inside, "sized.nodes": devices / inside}
    return pd.DataFrame({**sized, "mapping.tensor": tensor, "mapping.pipeline": pipeline})


def _gaps(rows: pd.DataFrame, answer: pd.DataFrame) -> list[tuple[pd.Series, object]]:
    """What a row lacks for a static batch to answer it: where, and why."""
    import pandas as pd

    needed = ["workload.batch", "workload.input", "workload.output", "measured", "sized.devices"]
    ranks = rows["attention_dp"] if "attention_dp" in rows else pd.Series(1, rows.index)
    return [
        (rows["dtype"].isna() | rows["kv_dtype"].isna(), "its types are not stated"),
        (answer[needed].isna().any(axis=1), UNSTATED),
        (rows["ep"].gt(1), EXPERTS),
        (ranks.gt(1), RANKS),
        (answer["model"].isna(), "no model '" + rows["model"].astype(str) + "' is described"),
    ]


def _format(dtype: object) -> object:
    return FORMATS.get(dtype.lower(), dtype.lower()) if isinstance(dtype, str) else dtype
