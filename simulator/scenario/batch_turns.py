"""A static batch that does not fit, where its runtime serves it in turns: as many batches as it takes, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.mapping.deployment import Deployment
from simulator.scenario.batch_parts import Phase, energies_of, error_of, parts_of, times_of


@dataclass(frozen=True, eq=False)
class Turns:
    """How cases are served: `full` batches of `size` sequences each, and one of the `rest`; 1, all and 0 where all fit.

    `size` is 0 where not one sequence fits.
    """

    size: Any
    full: Any
    rest: Any

    @property
    def batches(self) -> Any:
        return self.full + (self.rest > 0)


def turns(deployed: Deployment, phase: Phase, batch: Any, input: Any, output: Any, fits: Any) -> Turns:
    """The turns of each case, the largest first; all of a case at once where it `fits`.

    Whole requests alone are served in turns, of a deployment that spills nothing.
    """
    batch, input, output, fits = np.broadcast_arrays(batch, input, output, fits)
    size = np.where(fits, batch, 0.0)
    if deployed.software.runtime.splits_batch and phase == "request" and deployed.spill is None:
        for case in {tuple(map(float, each)) for each in zip(*(a[~fits] for a in (batch, input, output)), strict=True)}:
            same = ~fits & (batch == case[0]) & (input == case[1]) & (output == case[2])
            size = np.where(same, deployed.footprint(*map(int, case)).max_batch(), size)
    full, rest = np.divmod(batch, np.maximum(size, 1.0))
    return Turns(size, np.where(size > 0, full, 0.0), np.where(size > 0, rest, 0.0))


def served(
    deployed: Deployment, phase: Phase, served_in: Turns, input: Any, output: Any, many: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Times and energies of cases in their turns, and the parts of a full one.

    The first token and the time between tokens are those of a full turn; the last token comes at the end of the last.
    """
    first = np.maximum(served_in.size, 1.0)
    parts = parts_of(deployed, phase, first, input, output, many)
    metrics = _metrics(deployed, parts, phase, first, output)
    if np.all(served_in.batches <= 1):
        return metrics, parts
    last = np.maximum(served_in.rest, 1.0)
    left = _metrics(deployed, parts_of(deployed, phase, last, input, output, many), phase, last, output)
    some, sequences = served_in.rest > 0, served_in.full * first + served_in.rest
    seconds = served_in.full * metrics["e2e_s"] + np.where(some, left["e2e_s"], 0.0)
    each = [served_in.full * first, np.where(some, last, 0.0)]
    token = sum(n * m["energy_per_token_j"] for n, m in zip(each, (metrics, left), strict=True)) / sequences
    rates = {"e2e_s": seconds, "tokens_per_s": sequences * output / seconds}
    return metrics | rates | {"energy_per_token_j": token, "power_w": token * sequences * output / seconds}, parts


def _metrics(deployed: Deployment, parts: Any, phase: Phase, batch: Any, output: Any) -> dict[str, Any]:
    errors = {"expected_error": error_of(deployed, parts, phase)}
    return times_of(parts, phase, batch, output) | energies_of(deployed, parts, phase, batch, output) | errors
