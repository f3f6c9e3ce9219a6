"""Metrics of many designs at once: points that differ in rates alone are lowered once and timed in one call."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from simulator.core import Plan
from simulator.core.resource import plain
from simulator.errors import ConfigError, TiersimError
from simulator.explore.sweep.binding import bound_by
from simulator.explore.sweep.columns import Columns
from simulator.explore.sweep.cost import taken
from simulator.explore.sweep.designs import RUNNER, alike, deployed, machine
from simulator.explore.sweep.parts import energies, parts_of, times
from simulator.hardware.system import varies
from simulator.mapping.passes import mean_context
from simulator.registry import register

DEFAULTS: dict[str, Any] = {
    "workload.phase": "decode", "workload.batch": 1, "workload.input": 512, "workload.output": 128,
}  # fmt: skip
READS = (*DEFAULTS, *RUNNER, "mapping.memory", "mapping.dispatch", "mapping.together")
LENGTHS = ("workload.batch", "workload.input", "workload.output")
METRICS = {
    "ttft_s": "s", "tbt_s": "s", "e2e_s": "s", "tokens_per_s": "1/s", "energy_per_token_j": "J", "power_w": "W",
    "needed_bytes": "B", "capacity_bytes": "B", "area_m2": "m^2", "price_usd": "USD", "peak_power_w": "W",
    "bound_by": "", "error": "",
}  # fmt: skip
"""Each metric, and its unit."""
STANDS = ("needed_bytes", "capacity_bytes", "area_m2", "price_usd", "peak_power_w")
"""What a design has that its model does not fit into."""
FULL = "weights and KV caches do not fit"


@register("evaluator", "pass")
@dataclass(frozen=True)
class Passes:
    """Passes of a model in closed form: a prefill, a decode step, or a whole request.

    `ttft_s` is the prefill, `tbt_s` a decode step at the mean context `input + (output - 2) / 2`, each a closed form;
    `e2e_s` is the prefill and each of the `output - 1` steps at its own context (`core/steps.py`). The phase `decode`
    has the second alone, `prefill` the first, `request` all. `tokens_per_s`: of all sequences. Energy a token as
    `serving/energy.py` has it, NaN where the machine lacks a figure; `power_w` is that over time. `needed_bytes` as
    `mapping/footprint.py` has them. `bound_by`: the resource that binds longest, of the step (of the prefill where
    there is none). With `costs` in the base, `area_m2` of the die of one device, and `price_usd` and `peak_power_w` of
    the whole machine (`hardware/cost.py`).

    Points are grouped by what changes the plan. In a group, rates of the machine, batch and lengths are arrays, and one
    lowering serves all; but for engines and dispatches whose plan hangs on a time, each point is a group of its own.

    Attributes:
        base: what a point does not say: `hardware`, `model`, `workload.batch`, `mapping.dtype`, ...
        overrides: of the machine, as `--set` takes them.
        binds: whether `bound_by` is wanted, which takes twice the time.
    """

    base: Mapping[str, Any]
    overrides: tuple[str, ...] = ()
    binds: bool = True

    metrics: ClassVar[Mapping[str, str]] = METRICS
    reads: ClassVar[Collection[str]] = READS
    alone: ClassVar[bool] = False

    def __call__(self, columns: Columns) -> Columns:
        points = len(next(iter(columns.values())))
        found = _empty(points)
        for rows, said, varied in self._groups(columns, points):
            self._fill(found, rows, said, varied)
        if not self.binds:
            del found["bound_by"]
        return found

    def plan(self, said: Mapping[str, Any]) -> Plan:
        """What one point times, from what it says beside the base: a prefill, a decode step, or a whole request.

        The steps of a request are folded at their mean context.

        Raises:
            TiersimError: the point does not work.
        """
        known = {**DEFAULTS, **self.base, **said}
        batch, input, output = (float(known[key]) for key in LENGTHS)
        deployment, phase = deployed(known, self.overrides), known["workload.phase"]
        passes = deployment.passes(batch, input, output)
        if phase == "prefill":
            return passes.first
        if phase == "decode":
            return passes.step(mean_context(input, output))
        whole = Plan(deployment.model.name)
        whole.add(passes.first)
        if output > 1:
            whole.add(passes.step(mean_context(input, output)), repeat=int(output) - 1)
        return whole

    def _fill(self, found: dict[str, Any], rows: NDArray[np.int64], said: dict[str, Any], varied: Columns) -> None:
        """The metrics of a group; where it fails, of its halves, so that what is wrong stays with its own points."""
        try:
            part = self._group(said, varied, len(rows))
        except TiersimError as error:
            if len(rows) == 1:
                found["error"][rows] = str(error)
                return
            for half in np.array_split(np.arange(len(rows)), 2):
                self._fill(found, rows[half], said, {path: values[half] for path, values in varied.items()})
            return
        for name, values in part.items():
            found[name][rows] = values

    def _groups(self, columns: Columns, points: int) -> Iterator[tuple[NDArray[np.int64], dict[str, Any], Columns]]:
        """Rows of a group, what its points say alike, and the columns that vary in it."""
        fixed = [path for path in columns if not _may_vary(path)]
        for rows, said in alike(columns, fixed, np.arange(points)):
            known = {**DEFAULTS, **self.base, **said}
            for some, free in _said(columns, [path for path in columns if path not in fixed], rows):
                hangs = _hangs_on_times(known, self.overrides)
                structural = free if hangs else [path for path in free if not _rate(known, path, self.overrides)]
                for each, more in alike(columns, structural, some):
                    yield each, known | more, {path: columns[path][each] for path in free if path not in structural}

    def _group(self, said: Mapping[str, Any], varied: Columns, points: int) -> dict[str, Any]:
        lengths = {key: np.asarray(varied.get(key, said[key]), dtype=float) for key in LENGTHS}
        for key, values in lengths.items():
            if not np.all(values >= 1):
                raise ConfigError(path=key, found=float(values.min()), expected="1 or more")
        rates = {path.removeprefix("hardware."): values for path, values in varied.items() if path not in LENGTHS}
        deployment = deployed(said, self.overrides, rates)
        system, model = deployment.system, deployment.model
        batch, input, output = (lengths[key] for key in LENGTHS)
        phase = said["workload.phase"]
        if phase not in ("prefill", "decode", "request"):
            raise ConfigError(path="workload.phase", found=f"'{phase}'", expected="prefill, decode or request")
        passes = deployment.passes(plain(batch), plain(input), plain(output))
        parts = parts_of(passes, model, phase, input, output, bool(varied))
        found = times(parts, phase, batch, output, points)
        found |= energies(system, parts, found, phase, batch, output, points)
        found |= taken(deployment, said, points)
        footprint = deployment.footprint(batch, input, output)
        found["needed_bytes"], found["capacity_bytes"] = footprint.total.used, footprint.total.capacity
        full = np.broadcast_to(np.logical_not(footprint.fits), points)
        if self.binds:
            found["bound_by"] = bound_by(parts["prefill" if phase == "prefill" else "decode"].plan, points)
        for name, values in found.items():
            if np.any(full) and name not in STANDS:
                found[name] = np.where(full, "" if name == "bound_by" else np.nan, values)
        found["error"] = np.where(full, FULL, "").astype(object)
        return found


def _said(
    columns: Columns, paths: Sequence[str], rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], list[str]]]:
    """Rows that leave out the same of these columns, and the columns that they have."""
    silent = {path: columns[path][rows] != columns[path][rows] for path in paths if columns[path].dtype.kind == "f"}
    silent = {path: mask for path, mask in silent.items() if mask.any()}
    for some, left_out in alike(silent, list(silent), np.arange(len(rows))):
        yield rows[some], [path for path in paths if not left_out.get(path, False)]


def _may_vary(path: str) -> bool:
    return path in LENGTHS or path.startswith("hardware.")


def _hangs_on_times(said: Mapping[str, Any], overrides: tuple[str, ...]) -> bool:
    """Whether the plan depends on rates: partitions of a dataflow engine, and dispatch over engines."""
    try:
        return not deployed(said, overrides).vectorised
    except TiersimError:
        return True  # told with the point


def _rate(said: Mapping[str, Any], path: str, overrides: tuple[str, ...]) -> bool:
    """Whether a path may be an array in one lowering."""
    return path in LENGTHS or varies(machine(said, overrides), path.removeprefix("hardware."))


def _empty(points: int) -> dict[str, NDArray[Any]]:
    return {
        name: np.full(points, "", dtype=object) if not unit else np.full(points, np.nan)
        for name, unit in METRICS.items()
    }
