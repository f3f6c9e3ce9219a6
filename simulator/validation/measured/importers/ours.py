"""Tables that are in a form of ours already."""

from __future__ import annotations

from simulator.registry import register
from simulator.validation.measured.importers import Importer
from simulator.validation.measured.schema import OPERATORS, RUNS

register("importer", "operators")(Importer(OPERATORS, lambda table, file: table))
register("importer", "runs")(Importer(RUNS, lambda table, file: table))
