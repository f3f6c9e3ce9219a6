"""The answer of a calibration: its constants, its tables of residuals, and how both are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.mapping.gpu.calibration import Calibration
from simulator.provenance import Provenance
from simulator.result import Result

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Calibrated(Result):
    """A calibration, and its tables of residuals by class and variant.

    Attributes:
        calibration: as its YAML has it.
        tables: the residuals of a kernel by class and variant: shapes, and measured over modelled.
        skipped: rows by the reason for which they were not used.
    """

    calibration: Calibration
    tables: Mapping[tuple[str, str], pd.DataFrame]
    skipped: Mapping[str, int]
    provenance: Provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        """One row a kernel: what it was fitted to, and its errors on what was held out."""
        import pandas as pd

        rows = []
        for name, variants in self.calibration.kernels.items():
            for variant, fitted in variants.items():
                row: dict[str, Any] = {"kernel": name, "variant": variant, "rows": fitted.rows}
                for key, errors in (("", fitted.held_out), ("_with_residuals", fitted.with_residuals)):
                    if errors is not None:
                        row |= {f"median{key}": errors.median, f"mean{key}": errors.mean}
                rows.append(row | {"at_bounds": " ".join(fitted.at_bounds)})
        return {"kernels": pd.DataFrame(rows)}

    def as_json(self) -> dict[str, Any]:
        calibration = self.calibration.model_dump(exclude_defaults=True)
        return {**calibration, "skipped": dict(self.skipped), "provenance": self.provenance.as_dict()}

    def write(self, file: str | Path) -> None:
        """Write the calibration as YAML, and each table of residuals as a CSV beside it."""
        import yaml

        from simulator.files import replacement

        file = Path(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        kernels = {name: dict(variants) for name, variants in self.calibration.kernels.items()}
        for (name, variant), table in self.tables.items():
            beside = file.with_name(f"{file.stem}.{name}.{variant.replace(' ', '-')}.csv")
            with replacement(beside) as place:
                table.to_csv(place, index=False, float_format="%.6g", lineterminator="\n")
            kernels[name][variant] = kernels[name][variant].model_copy(update={"residuals": beside.name})
        written = self.calibration.model_copy(update={"kernels": kernels}).model_dump(exclude_none=True, mode="json")
        document = {
            "schema": 1,
            "source": f"fitted to {', '.join(written['measured'])}",
            "role": "calibration",
            **written,
        }
        with replacement(file) as place:
            text = yaml.safe_dump(_rounded(document), sort_keys=False, width=120, allow_unicode=True)
            place.write_text(text, encoding="utf-8")


def _rounded(value: Any) -> Any:
    """Plain data with floats of five digits, as YAML of people has them."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
