"""Fit the calibrations that ship anew: `hwconfigs/calibrations`, of the tables of `aiconfigurator-core`.

Needs the package (extra `gpu-baselines`), or `--root`, its folder `systems`. `--machine` and `--only` (a table) fit a
part, and leave the rest of a file as it is. Weights alone of 4 bits, and windows, are left out; of each table, the
version of the program that its GEMMs were measured under counts, else the newest.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
import yaml

from simulator.errors import ConfigError
from simulator.validation.calibration.calibrate import calibrate
from simulator.validation.measured.importers.aiconfigurator import SOURCE, TABLES, table

MACHINES = {
    "h100_sxm": "h100-sxm", "a100_sxm": "a100-sxm-80gb", "h200_sxm": "h200-sxm", "b200_sxm": "b200-sxm",
    "l40s": "l40s", "rtx_pro_6000_server": "rtx-pro-6000",
}  # fmt: skip
PROGRAMS = {"trtllm": "trt-llm", "vllm": "vllm"}
FORMATS = ("bf16", "fp8", "fp8_block", "nvfp4")
FOLDER = Path("hwconfigs/calibrations")
ROWS = 1500


def rows(root: Path | None, name: str, system: str, engine: str, version: str | None) -> pd.DataFrame:
    """The rows of a table that a calibration is fitted to; none where the package has no such table."""
    try:
        found = table(name, system, engine, root)
    except ConfigError:
        return pd.DataFrame()
    versions = sorted(found["version"].unique(), key=_numbers)
    found = found[found["version"] == (version if version in versions else versions[-1])]
    narrow = found["window"].fillna(0).eq(0) if "window" in found else True
    return found[(found["value"] > 0) & found["dtype"].isin(FORMATS) & narrow]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.replace("rc", ".").split("."))


def fit(root: Path | None, system: str, engine: str, only: list[str]) -> None:
    """Fit a machine under a program, and write its file."""
    machine, program = MACHINES[system], PROGRAMS[engine]
    gemm = rows(root, "gemm", system, engine, None)
    version = str(gemm["version"].iloc[0])
    parts = [rows(root, name, system, engine, version) for name in only]
    parts = [each for each in parts if len(each)]
    if not parts:
        return
    result = calibrate(machine, pd.concat(parts, ignore_index=True), runtime=program, rows=ROWS)
    file = FOLDER / f"{machine}.{program}.yaml"
    before = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {"kernels": {}}
    source = f"{SOURCE}, systems/data/{system}/*/{engine}"
    measured = {source: next(iter(result.calibration.measured.values()))}
    type(result)(
        result.calibration.model_copy(update={"measured": measured, "version": version}), {}, {}, result.provenance
    ).write(file)
    after = yaml.safe_load(file.read_text(encoding="utf-8"))
    after["kernels"] = dict(sorted((before["kernels"] | after["kernels"]).items()))
    file.write_text(yaml.safe_dump(after, sort_keys=False, width=120, allow_unicode=True), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--machine", choices=MACHINES, action="append")
    parser.add_argument("--only", choices=TABLES, action="append")
    chosen = parser.parse_args()
    for system in chosen.machine or MACHINES:
        for engine in PROGRAMS:
            fit(chosen.root, system, engine, chosen.only or [name for name in TABLES if name != "nccl"])
            print(f"{MACHINES[system]} {PROGRAMS[engine]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
