"""Measured runs as scenarios: what each asks, and which metric of it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.validation.measured.aliases import meant
from simulator.workload.load import load_model

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {"fp4": "nvfp4", "int4": "w4a16", "fp8_block": "fp8-block"}
"""Types of the data that formats of ours have other names for; the rest are the same in lower case."""

NODE = 8  # devices of a node, at most

LONGEST = 2.0**20
"""Context of a model that was run over more tokens than it was made for: its times do not hang on that."""

SERVED = "a serving run: its requests are not in the row"
UNSTATED = "its batch or a length is not stated"
EXPERTS = "experts on several devices each: no model of that in a static batch"
RANKS = "attention of other requests on each device: no model of that in a static batch"
QUEUED = "TTFT of a closed loop hangs on its queue"


def asked(rows: pd.DataFrame) -> pd.DataFrame:
    """What each run asks: columns by the paths of a scenario, `metric` of its evaluator, what was `measured` of it.

    Times are seconds: a rate of tokens becomes the time of the batch that it stands for. `error` says why a row asks
    nothing that a static batch answers. `model.moe.experts` is the fewest that all tokens may choose, for a limit.
    """
    import pandas as pd

    batch, new = rows["batch"], rows["output_len"]
    before = rows["input_len"]
    phase = rows["phase"].astype("string").fillna("")
    metric = rows["metric"].astype("string")
    of_all = metric.eq("throughput_output") | metric.eq("throughput_output_per_gpu")
    each = np.where(metric.eq("throughput_output_per_gpu"), rows["n_devices"], 1.0)
    loop = rows["loop"].eq("closed") if "loop" in rows else pd.Series(False, index=rows.index)
    kinds: list[tuple[Any, ...]] = [
        (metric.str.contains(r"_p\d+$") | phase.isin(["server", "offline"]), "", "", np.nan, SERVED),
        (metric.eq("ttft") & loop, "", "", np.nan, QUEUED),
        (metric.eq("ttft"), "prefill", "ttft_s", rows["value"], ""),
        (metric.eq("latency") & new.le(1), "prefill", "ttft_s", rows["value"], ""),
        (metric.eq("latency"), "request", "e2e_s", rows["value"], ""),
        (metric.eq("tpot"), "decode", "tbt_s", rows["value"], ""),
        (metric.eq("throughput") & phase.eq("prefill"), "prefill", "ttft_s", batch * before / rows["value"], ""),
        (metric.eq("throughput") & phase.eq("decode"), "decode", "tbt_s", batch / rows["value"], ""),
        (of_all, "request", "e2e_s", batch * new / (rows["value"] * each), ""),
        (metric.eq("avg_power"), "request", "power_w", rows["value"], ""),
    ]
    conditions = [condition.fillna(False).to_numpy(bool) for condition, *_ in kinds]
    chosen: list[Any] = [
        np.select(conditions, [np.broadcast_to(kind[i], len(rows)) for kind in kinds], default)
        for i, default in ((1, ""), (2, ""), (3, np.nan), (4, "no model of the metric"))
    ]
    pipeline = rows["pp"].fillna(1)
    tensor = rows["tp"].fillna(rows["n_devices"] / pipeline)
    devices = tensor * pipeline
    inside = np.gcd(devices.fillna(1).astype(int), NODE).astype(float)  # a node, of those that have several
    columns = {
        "model": rows["model"].map(lambda name: meant(name, "workloads/models")),
        "sized.devices": np.where(devices > NODE, inside, devices),
        "sized.nodes": np.where(devices > NODE, devices / inside, 1),
        "mapping.tensor": tensor,
        "mapping.pipeline": pipeline,
        "mapping.dtype": rows["dtype"].map(_format),
        "mapping.kv": rows["kv_dtype"].map(_format),
        "workload.phase": chosen[0],
        "workload.batch": batch,
        "workload.input": before.clip(lower=1),
        "workload.output": np.where(chosen[0] == "prefill", 1.0, new),
        "metric": chosen[1],
        "measured": chosen[2].astype(float),
        "error": chosen[3],
    }
    answer = pd.DataFrame(columns, index=rows.index)
    models = {name: load_model(name) for name in answer["model"].dropna().unique()}
    most = answer["model"].map({name: model.max_context for name, model in models.items()})
    experts = {name: model.moe.top_k for name, model in models.items() if model.moe}
    answer["model.moe.experts"] = answer["model"].map(experts).astype(float)
    tokens = answer["workload.input"] + answer["workload.output"]
    answer["model.max_context"] = np.where(tokens > most, LONGEST, np.nan)
    stated = answer[["workload.batch", "workload.input", "workload.output", "measured"]].notna().all(axis=1)
    unknown = "no model '" + rows["model"].astype(str) + "' is described"
    for bad, why in (
        (rows["dtype"].isna() | rows["kv_dtype"].isna(), "its types are not stated"),
        (~stated | devices.isna(), UNSTATED),
        (rows["ep"].gt(1), EXPERTS),
        (rows.get("attention_dp", pd.Series(1, rows.index)).gt(1), RANKS),
        (answer["model"].isna(), unknown),
    ):
        answer["error"] = answer["error"].mask(bad & answer["error"].eq(""), why)
    return answer


def _format(dtype: object) -> object:
    return FORMATS.get(dtype.lower(), dtype.lower()) if isinstance(dtype, str) else dtype
