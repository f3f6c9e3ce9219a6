"""An importer: a benchmark of products that names its columns in its own way, and gives microseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator.plugin import Importer, register

NUMBERS = ("M", "N", "K", "usec")


def products(table: Any, file: Path) -> Any:
    """A row each, in our form of operators and in SI units; what is not said is of the file's name."""
    named = table.rename(columns={"card": "device", "M": "m", "N": "n", "K": "k", "type": "dtype"})
    return named.assign(source=file.stem, op="gemm", metric="latency", unit="s", value=table["usec"] * 1e-6)


register("importer", "products")(Importer(("card", "type", *NUMBERS), products, NUMBERS))
