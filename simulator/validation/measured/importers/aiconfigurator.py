"""Kernel tables and runs of the package `aiconfigurator-core` (NVIDIA, Apache-2.0), with times in milliseconds.

`aiconfigurator_core/systems/data/SYSTEM/FAMILY/ENGINE/VERSION/TABLE.parquet`, and `systems/silicon_sample.csv`.
What the package does not say of its units follows from the rows: an all-reduce of 16-bit elements takes twice as long
as one of 8-bit elements at the same `message_size`, which thus counts elements.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import unknown
from simulator.extra import missing
from simulator.registry import register
from simulator.validation.measured.importers import Importer
from simulator.validation.measured.schema import BYTES, tidy

if TYPE_CHECKING:
    import pandas as pd

NAME = "aiconfigurator"
PACKAGE = "aiconfigurator_core"
URL = "https://pypi.org/project/aiconfigurator-core/"
SOURCE = "aiconfigurator-core 0.12.0"

DTYPES = {"bfloat16": "bf16", "half": "fp16", "float16": "fp16"}
ENGINES = {"TRTLLM": "TensorRT-LLM", "trtllm": "TensorRT-LLM", "VLLM": "vLLM", "vllm": "vLLM", "sglang": "SGLang"}
MLA = {"mla_context": "mla_prefill", "mla_generation": "mla_decode"}
ATTENTION = {"context_attention": "attention_prefill_causal", "generation_attention": "attention_decode"}
COLLECTIVES = {"alltoall": "all_to_all"}


def table(name: str, system: str = "*", engine: str = "*", root: Path | None = None) -> pd.DataFrame:
    """The rows of one kind of kernel table, of all engines and versions, in our form of operators.

    Args:
        name: `gemm`, `context_attention`, `generation_attention`, `moe`, `computescale`, `scale_matrix`,
            `custom_allreduce` or `nccl`.
        system: a folder of the package, such as `h100_sxm`; all, unless given.
        engine: `trtllm`, `vllm`, `sglang` (or `nccl`); all, unless given.
        root: the folder `systems` of the package; found where it is installed, unless given.

    Raises:
        ConfigError: no such kind of table, system or engine; the package is not installed.
    """
    import pandas as pd

    if name not in TABLES:
        raise unknown(name, TABLES, "no such table")
    data = (root or systems()) / "data"
    files = sorted(data.glob(f"{system}/*/{engine}/*/{name}_perf.parquet"))
    if not files:
        others = sorted(folder.name for folder in data.glob("*") if any(folder.glob(f"*/*/*/{name}_perf.parquet")))
        raise unknown(system, others, f"no table '{name}' of engine '{engine}'", file=data)
    rows = [tidy(IMPORTERS[TABLES[name]].tidy(pd.read_parquet(file), file)) for file in files]
    return pd.concat(rows, ignore_index=True)


def silicon_sample(root: Path | None = None) -> pd.DataFrame:
    """The package's runs from end to end, in our form of runs: TTFT and TPOT of each."""
    import pandas as pd

    file = (root or systems()) / "silicon_sample.csv"
    return tidy(_silicon(pd.read_csv(file, low_memory=False), file)).reset_index(drop=True)


def systems() -> Path:
    """The folder of the installed package in which its tables are.

    Raises:
        ConfigError: it is not installed; with the command that installs it.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise missing(PACKAGE, "gpu-baselines", "this baseline")
    return Path(spec.submodule_search_locations[0]) / "systems"


def _gemm(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """A product; its type names the scales too: `fp8_block` has one a block, `fp8` one a tensor or row."""
    return _timed(rows, file, "gemm", rows["gemm_dtype"], m=rows["m"], n=rows["n"], k=rows["k"])


def _attention(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Attention of `isl` new tokens behind `step` that are cached, of one in decode.

    A `num_key_value_heads` of 0 means as many as heads; a `window` of 0, that a token sees all before it.
    """
    kv_heads = rows["num_key_value_heads"].where(rows["num_key_value_heads"] > 0, rows["num_heads"])
    return _timed(
        rows, file, rows["op_name"].replace(ATTENTION), rows["attn_dtype"],
        batch=rows["batch_size"], heads=rows["num_heads"], kv_heads=kv_heads, head_dim=rows["head_dim"],
        seq_q=rows["isl"], seq_kv=rows["isl"] + rows["step"], kv_dtype=_dtype(rows["kv_cache_dtype"]),
        window=rows.get("window_size", 0),
    )  # fmt: skip


def _mla(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Attention over a latent, of DeepSeek-V3: of `isl` new tokens behind `step` that are cached.

    SGLang's table of prompts is of its kernel that reads the latent as it is: it takes 3.4 times as long as expanded
    keys and values would at the rate of its others, which is how many more FLOPs that has.
    """
    absorbed = rows["op_name"].eq("mla_generation") | rows["kernel_source"].eq("flash_attention")
    return _timed(
        rows, file, rows["op_name"].replace(MLA), rows["mla_dtype"],
        batch=rows["batch_size"], heads=rows["num_heads"], seq_q=rows["isl"], seq_kv=rows["isl"] + rows["step"],
        kv_dtype=_dtype(rows["kv_cache_dtype"]), absorbed=absorbed.astype(float),
    )  # fmt: skip


def _exchange(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """The all-to-all of experts by DeepEP: a step of it, and its kernels for throughput or for low latency.

    Its latencies are microseconds: those of its columns `transmit_us`.
    """
    second = rows["comm_backend"].str.contains("_v2").map({True: "_v2", False: ""})
    low = second + rows["comm_backend"].str.contains("_ll|_generation").map({True: "_ll", False: ""})
    dtype = rows["comm_dtype"].replace("default", "bf16")
    return _timed(
        rows.assign(latency=rows["latency"] * 1e-3), file, "moe_" + rows["phase"] + low, dtype,
        m=rows["num_tokens"], k=rows["hidden_size"], experts=rows["num_experts"], top_k=rows["topk"],
        n_devices=rows["ep_size"],
    ).assign(kernel=rows["comm_backend"])  # fmt: skip


def _moe(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """A whole FFN of routed experts on one of `tp * ep` devices: of three `matrices`, or of two where it has no gate.

    `n` is the width of a whole expert, of which a device has `n / tp`, and `experts / ep` of them.
    """
    return _timed(
        rows, file, "moe_ffn", rows["moe_dtype"],
        m=rows["num_tokens"], n=rows["inter_size"], k=rows["hidden_size"], experts=rows["num_experts"],
        top_k=rows["topk"], n_devices=rows["moe_tp_size"] * rows["moe_ep_size"], tp=rows["moe_tp_size"],
        ep=rows["moe_ep_size"], distribution=rows["distribution"],
        matrices=rows["kernel_source"].str.contains("nongated").map({True: 2, False: 3}),
    )  # fmt: skip


def _quantise(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """A row-wise step of quantising activations: `compute_scale`, or `scale_matrix` with a scale that is known."""
    return _timed(rows, file, rows["op_name"], rows["quant_dtype"], m=rows["m"], n=rows["k"])


def _collective(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """A collective inside a node; `message_size` counts elements."""
    dtype = _dtype(rows["allreduce_dtype" if "allreduce_dtype" in rows else "nccl_dtype"])
    return _timed(
        rows, file, rows["op_name"].replace(COLLECTIVES), dtype,
        bytes=rows["message_size"] * dtype.map(BYTES), n_devices=rows["num_gpus"],
    )  # fmt: skip


def _timed(rows: pd.DataFrame, file: Path, op: object, dtype: pd.Series, **shape: object) -> pd.DataFrame:
    """Rows with a shape, from times in milliseconds. What a file leaves out, the folders that it is in say."""
    import pandas as pd

    engine, version, system = file.parts[-3], file.parts[-2], file.parts[-5] if len(file.parts) > 4 else ""
    known = {"source": SOURCE, "op": op, "dtype": _dtype(dtype), "n_devices": 1, "metric": "latency", "unit": "s"}
    about = {
        "device": rows.get("device", system),
        "engine": rows["framework"].replace(ENGINES) if "framework" in rows else ENGINES.get(engine, engine),
        "version": rows.get("version", version),
        "kernel": rows.get("kernel_source", ""),
    }
    columns = {**known, **about, **shape, "value": rows["latency"] * 1e-3}
    return pd.DataFrame(columns, index=rows.index)


def _silicon(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Closed-loop runs: their TTFT and their TPOT, in rows of their own; `batch` is that of the whole system.

    Runs with separate engines for prefill and decode have `mode` disagg, and no batch of their own. What is not
    stated: weights are of the model's own type, 16 bits; the KV cache is of 8 bits where TensorRT-LLM runs in fp8 or
    fp4, else of 16.
    """
    import pandas as pd

    engine = rows["backend"].replace(ENGINES)
    dtype = _dtype(rows["precision"]).fillna("bf16")
    narrow = (engine == "TensorRT-LLM") & dtype.isin(["fp8", "fp4"])
    ranks = rows["attention_dp_size"].fillna(1).clip(lower=1)
    runs = pd.DataFrame({
        "source": f"{SOURCE} silicon_sample", "url": URL, "device": rows["system"],
        "n_devices": rows["tp_size"] * rows["pp_size"] * ranks, "tp": rows["tp_size"], "pp": rows["pp_size"],
        "ep": rows["moe_ep_size"], "model": rows["model_path"], "engine": engine, "dtype": dtype,
        "kv_dtype": narrow.map({True: "fp8", False: "bf16"}), "phase": "e2e", "batch": rows["batch_size"] * ranks,
        "input_len": rows["isl"], "output_len": rows["osl"], "unit": "s", "version": rows["backend_version"],
        "mode": rows["mode"], "loop": "closed", "attention_dp": ranks, "moe_tp": rows["moe_tp_size"], "run": rows["id"],
        "inferred": rows["precision"].isna().map({True: "dtype kv_dtype", False: "kv_dtype"}),
    }, index=rows.index)  # fmt: skip
    parts = [runs.assign(metric=name, value=rows[f"silicon_{name}_ms"] * 1e-3) for name in ("ttft", "tpot")]
    return pd.concat(parts).sort_index(kind="stable")


def _dtype(dtype: pd.Series) -> pd.Series:
    return dtype.replace(DTYPES)


def _importer(tidy: Callable[[pd.DataFrame, Path], pd.DataFrame], *text: str, numbers: tuple[str, ...]) -> Importer:
    return Importer((*text, *numbers), tidy, numbers)


_ATTENTION_NUMBERS = ("batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim", "step", "latency")
_MOE_NUMBERS = (
    "num_tokens",
    "hidden_size",
    "inter_size",
    "topk",
    "num_experts",
    "moe_tp_size",
    "moe_ep_size",
    "latency",
)
_COLLECTIVE_NUMBERS = ("num_gpus", "message_size", "latency")
_RUN_NUMBERS = (
    "isl", "osl", "batch_size", "tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size",
    "silicon_ttft_ms", "silicon_tpot_ms",
)  # fmt: skip

IMPORTERS = {
    "gemm": _importer(_gemm, "gemm_dtype", numbers=("m", "n", "k", "latency")),
    "attention": _importer(_attention, "op_name", "attn_dtype", "kv_cache_dtype", numbers=_ATTENTION_NUMBERS),
    "mla": _importer(
        _mla, "op_name", "mla_dtype", "kv_cache_dtype", numbers=("batch_size", "isl", "num_heads", "step", "latency")
    ),
    "exchange": _importer(
        _exchange,
        "comm_backend",
        "phase",
        "comm_dtype",
        numbers=("num_tokens", "hidden_size", "num_experts", "topk", "ep_size", "latency"),
    ),
    "moe": _importer(_moe, "moe_dtype", "distribution", numbers=_MOE_NUMBERS),
    "quantise": _importer(_quantise, "op_name", "quant_dtype", numbers=("m", "k", "latency")),
    "all_reduce": _importer(_collective, "op_name", "allreduce_dtype", numbers=_COLLECTIVE_NUMBERS),
    "nccl": _importer(_collective, "op_name", "nccl_dtype", numbers=_COLLECTIVE_NUMBERS),
    "runs": _importer(_silicon, "backend", "model_path", "system", "precision", numbers=_RUN_NUMBERS),
}
for _name, _each in IMPORTERS.items():
    register("importer", f"aiconfigurator {_name}")(_each)

TABLES = {
    "gemm": "gemm",
    "context_attention": "attention",
    "generation_attention": "attention",
    "context_mla": "mla",
    "generation_mla": "mla",
    "moe_a2a": "exchange",
    "moe": "moe",
    "computescale": "quantise",
    "scale_matrix": "quantise",
    "custom_allreduce": "all_reduce",
    "nccl": "nccl",
}
"""The kinds of kernel tables by the names of their files, less `_perf.parquet`, and what imports each."""
