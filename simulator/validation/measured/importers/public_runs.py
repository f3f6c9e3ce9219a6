"""Runs as public sources give them: in our form, but with no column for the type of the KV cache.

Where a type is written `w_fp8+kv_int8`, it says both. Else the type of the KV cache is inferred: fp8 where TensorRT-LLM
runs in 8 bits or fewer, whose checkpoints of these types say so, and the type of the activations elsewhere: 16 bits.
llama.cpp gives each of several devices some of the layers, unless a row says otherwise. Splitwise's vLLM is that of
2023.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.registry import register
from simulator.validation.measured.importers import Importer
from simulator.validation.measured.schema import RUNS

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = tuple(column for column in RUNS if column != "kv_dtype")
NAMES = {"F16": "fp16", "float16": "fp16", "bfloat16": "bf16"}
YEARS = {"Splitwise": "2023", "LLM-Inference-Bench": "2024", "Argonne": "2024"}
"""The year of the programs of sources that do not state versions; Argonne: LLM-Inference-Bench by its authors."""
NARROW = ("fp8", "fp4")
ENGINE = r"^(?P<engine>[^;]*?)(?:[ ;]+(?P<version>[vb]?\d.*|;.*))?$"
AFTER = r"^latency_with_(\d+)_out$"  # a whole batch with another output


def tidy(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """The runs with `kv_dtype`, and `inferred` where the source does not say it; engines and their versions apart."""
    import pandas as pd

    rows = table.copy()
    both = rows["dtype"].astype("string").str.extract(r"^w_(?P<dtype>\w+)\+kv_(?P<kv_dtype>\w+)$")
    rows["dtype"] = both["dtype"].where(both["dtype"].notna(), rows["dtype"]).replace(NAMES)
    rows[["engine", "version"]] = rows["engine"].astype("string").str.extract(ENGINE)
    source, unsaid = rows["source"].astype("string"), rows["version"].isna()
    early = pd.Series(False, rows.index)
    for start, year in YEARS.items():
        of_year = source.str.startswith(start).fillna(False) & unsaid
        rows["version"], early = rows["version"].mask(of_year, year), early | of_year
    narrow = rows["engine"].str.startswith("TensorRT") & rows["dtype"].isin(NARROW)
    wide = rows["dtype"].where(rows["dtype"].isin(["bf16", "fp16"]), "fp16").where(rows["dtype"].notna())
    rows["kv_dtype"] = both["kv_dtype"].fillna(wide.mask(narrow, "fp8"))
    inferred = (both["kv_dtype"].isna() & rows["kv_dtype"].notna()).map({True: "kv_dtype", False: ""})
    layered = rows["engine"].eq("llama.cpp") & rows["tp"].isna() & rows["pp"].isna()
    rows["pp"] = rows["pp"].mask(layered, rows["n_devices"])
    inferred = inferred.mask(layered, inferred + " pp")
    rows["inferred"] = inferred.mask(early, inferred + " version")
    output = rows["metric"].astype("string").str.extract(AFTER)[0].astype(float)
    rows["output_len"] = output.fillna(rows["output_len"])
    rows["metric"] = rows["metric"].mask(output.notna(), "latency")
    return rows


register("importer", "public runs")(Importer(COLUMNS, tidy, ("output_len",)))
