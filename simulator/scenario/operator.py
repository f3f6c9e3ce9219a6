"""Operators by their shapes: a few, or a million in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.config.path import checked
from simulator.errors import ConfigError, one_of
from simulator.hardware import System
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.scenario.evaluator import evaluated
from simulator.scenario.evaluators.operators import SHAPES, TEXTS, Operators, OperatorsEvaluator
from simulator.scenario.form import Scenario
from simulator.scenario.parts import machine
from simulator.scenario.reads import check_read

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class OperatorTimes(Result):
    """Times of operators.

    Attributes:
        scenario: what was asked of all.
        rows: one a shape: what differs, then the metrics of workloads of kind `operators`.
    """

    scenario: Scenario
    rows: pd.DataFrame
    provenance: Provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        return {"operators": self.rows}

    def as_json(self) -> dict[str, Any]:
        return {"operators": self.rows.to_dict("records"), "provenance": self.provenance.as_dict()}


def operator(
    op: str,
    hardware: str | Path | System,
    *,
    dtype: str = "bf16",
    runtime: str | None = None,
    calibration: str | None = None,
    overrides: Sequence[str] = (),
    **shape: Any,
) -> OperatorTimes:
    """The time of an operator on a GPU, with what binds and the roofline beside: of one shape, or of arrays of them.

    Args:
        op: `gemm`, `attention_prefill_causal`, `attention_decode`, `moe_ffn`, `rms_norm`, `all_reduce`, ...
        hardware: a machine whose GPU has a `chip`.
        dtype: the format of the operands.
        runtime: the program whose kernels run it.
        calibration: constants of kernels, by name or path.
        overrides: of the machine, as `--set` takes them.
        shape: sizes by the keys of a workload of kind `operators`: `m`, `n`, `k`, `heads`, `seq_kv`, `bytes`, ...;
            numbers, or arrays of one length.

    Raises:
        ConfigError: no such operator, machine or size; arrays of several lengths; a shape that lacks something.
    """
    import pandas as pd

    sizes = [key for key in dict.fromkeys(sum(SHAPES.values(), ()))]
    for key in shape:
        if key not in sizes:
            raise ConfigError(path=key, found="no size of a shape", expected=one_of(sizes))
    arrays = {key: np.asarray(value) for key, value in shape.items() if np.ndim(value) and key not in TEXTS}
    if len({len(each) for each in arrays.values()}) > 1:
        lengths = {key: len(each) for key, each in arrays.items()}
        raise ConfigError("shapes", found=f"arrays of lengths {lengths}", expected="one length")
    work = {"kind": "operators", "op": op, "dtype": dtype}
    one = {key: value for key, value in shape.items() if key not in arrays}
    part: Any = hardware if isinstance(hardware, System) else str(hardware)
    if overrides and not isinstance(part, System):
        from simulator.config.resolve import parsed

        part = {"extends": part, **dict(map(parsed, overrides))}
    workload = {key: value for key, value in {**work, **one}.items() if value is not None}
    mapping = {key: value for key, value in (("runtime", runtime), ("calibration", calibration)) if value is not None}
    scenario = checked(Scenario, {"hardware": part, "mapping": mapping, "workload": workload})
    check_read(scenario)
    columns = {f"workload.{key}": each for key, each in arrays.items()}
    table = evaluated(scenario, columns)
    errors = table.pop("error")
    failed = next((row for row, each in enumerate(errors) if each), None)
    if failed is not None:  # by itself it ends in its own error
        case = {path: each[failed : failed + 1] for path, each in columns.items()}
        OperatorsEvaluator.evaluate(scenario, case, 1, set(table))
    assert isinstance(scenario.workload, Operators)
    rows = pd.DataFrame({**arrays, **table})
    provenance = Provenance(_config(scenario, arrays), scenario.workload.seed)
    return OperatorTimes(scenario, rows, provenance)


def _config(scenario: Scenario, arrays: Mapping[str, Any]) -> dict[str, Any]:
    shapes = {key: [float(each.min()), float(each.max()), len(each)] for key, each in arrays.items()}
    return {"hardware": machine(scenario).config.data, "scenario": scenario.written(), "shapes": shapes}
