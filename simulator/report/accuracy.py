"""The page of accuracy: how far the program lies from measured GPUs, and how that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator import data
from simulator.files import read_rows
from simulator.mapping.gpu.calibration import FOLDER, Errors, load_calibration
from simulator.validation.compare import Comparison, compare
from simulator.validation.measured.errors import errors

CLAIMS = Path(__file__).with_name("claims.csv")
HEAD = """\
# Accuracy

Written by `tiersim accuracy --output docs/accuracy.md`. Errors are absolute, of the measured time.

## Kernels, on shapes that were held out

The constants of each kernel of a library were fitted to half of the groups of shapes of the tables of
aiconfigurator-core (`hwconfigs/calibrations/`); these are the errors on the other half, of which no row told the fit
anything. *At a bound*: constants that the data do not tell.
"""
SHIPPED = """\
## Measured figures that ship

`tiersim compare --baseline operators` and `--baseline runs`: published figures of other sources
([what they are](../workloads/measured/README.md)), without rows that gave a constant to a runtime. Beside them the
plain roofline: the same machine with every rate at its peak. Kernels that were not fitted under the program of the row
have the constants of another program on the chip, else those of the family: that is where most is to be gained.

Three conditions of the sources weigh in these means. LLMCompass timed row-wise kernels with their launch and a
synchronisation (15 to 50 us a call), of which the time of a kernel knows nothing: it is a tenth to a half of theirs. In
the figures of FlashAttention-3, kernels are others than those of serving programs, whose constants count here:
FlashAttention-3 and cuDNN are 1.4 to 1.6 times as fast, and PyTorch's, which writes all scores, 3 to 8 times as slow.
The RTX 4090 and RTX PRO 6000 have no constants of prefill attention of their own, and are 1.4 to 1.9 times as fast as
those of the family say.
"""
OTHERS = """\
## What other tools say of themselves

On their own data, so that the figures are not to be set against one another.
"""


def accuracy() -> str:
    """The page, in Markdown.

    Raises:
        ConfigError: what is wrong with a shipped file.
    """
    lines = [HEAD, *_table(("machine", "runtime", "kernel", "variant", "rows", *ERRORS, "at a bound"), _kernels()), ""]
    lines += [SHIPPED]
    operators, runs = map(compare, ("operators", "runs"))
    for comparison, column in ((operators, "class"), (runs, "engine"), (runs, "phase")):
        lines += [*_table((column, *MEASURED), _shipped(comparison, column)), ""]
    lines += [OTHERS, *_table(("tool", "of", "claim", "source"), _claims())]
    return "\n".join(lines) + "\n"


ERRORS = ("median", "mean", "nine in ten")
MEASURED = ("rows", "median", "mean", "nine in ten", "bias", "median of the plain roofline")


def _kernels() -> Iterator[Sequence[str]]:
    for name in data.names(FOLDER):
        calibration = load_calibration(name)
        for kernel, variants in calibration.kernels.items():
            for variant, fitted in variants.items():
                if fitted.held_out is not None:
                    yield (
                        calibration.hardware, calibration.runtime or "", kernel.replace("_", " "), variant,
                        *_errors(fitted.held_out), ", ".join(f"`{each}`" for each in fitted.at_bounds),
                    )  # fmt: skip


def _errors(errors: Errors) -> Iterator[str]:
    yield f"{errors.rows:,}"
    yield from (f"{share:.1%}" for share in (errors.median, errors.mean, errors.p90))


def _shipped(comparison: Comparison, column: str) -> Iterator[Sequence[str]]:
    groups = comparison.groups[comparison.groups["group"] == column]
    for row in groups.to_dict("records"):
        yield _measured(str(row["value"]).replace("_", " "), row)
    yield _measured("all", {**comparison.errors, "plain_median_ape": errors(comparison.counted, "plain")["median_ape"]})


def _measured(name: str, row: Mapping[Any, Any]) -> Sequence[str]:
    shares = (row[key] for key in ("median_ape", "mape", "p90_ape", "bias", "plain_median_ape"))
    return name, f"{row['rows']:,}", *(f"{share:.1%}" for share in shares)


def _claims() -> Iterator[Sequence[str]]:
    rows = read_rows(CLAIMS)
    next(rows)
    yield from (row for _, row in rows)


def _table(columns: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    yield from (f"| {' | '.join(row)} |" for row in rows)
