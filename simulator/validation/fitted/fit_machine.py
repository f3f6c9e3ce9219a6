"""A machine of what was measured: its YAML, each figure with where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from simulator.config import Config
from simulator.errors import ConfigError
from simulator.files import replacement
from simulator.hardware import Machine, System, load_system
from simulator.validation.fitted.cpu import Section, fitted_cpu
from simulator.validation.fitted.disk import DISK, MEMORY, fitted_disk
from simulator.validation.measure.rows import Row, Sample, read_measured

CPU, STORAGE = ("gemm", "triad", "chase", "memory"), ("file_read", "disk")

Of: TypeAlias = Literal["least", "median"]
"""Which of the repeats' times a figure is made of."""


def fit_machine(rows: str | Path, output: str | Path, threads: int | None = None, of: Of = "least") -> System:
    """Make a machine of the measurements of a CPU, and of a disk where there are any, and write it.

    Args:
        rows: a table that `measure` wrote.
        output: the YAML to write.
        threads: that compute; the most that were measured unless given.
        of: the least time of the repeats, to which whatever else runs on the machine only adds, or their median.

    Raises:
        ConfigError: no table of measurements; rows of two devices, or of two versions of what measured them; too few of
            them, or none of so many threads; a file that cannot be written.
    """
    file, target = Path(rows), Path(output)
    known = read_measured(file)
    computing, storage = ([row for row in known if row.point.op in ops] for ops in (CPU, STORAGE))
    for part, measurements in (("CPU", computing), ("disk", storage)):
        _check_one(file, part, measurements)
    if not computing:
        raise ConfigError("too few rows", file=file, found="none of a CPU", expected=f"rows of {', '.join(CPU)}")
    measured = sorted({row.point.threads or 0 for row in computing if row.point.op == "gemm"})
    count = threads or max(measured, default=1)
    if count not in measured:
        expected = f"one of {', '.join(map(str, measured))}" if measured else "rows of 'gemm'"
        raise ConfigError("not measured", file=file, path="threads", found=count, expected=expected)
    document = _document(file, target.stem, computing, storage, count, of)
    text = _HEAD.format(rows=file.name) + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    with replacement(target) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return load_system(target)


_HEAD = "# Made by tiersim fit-machine of {rows}: figures of the machine as numpy and reads of threads reach them.\n"


def _document(file: Path, name: str, computing: Sequence[Row], storage: Sequence[Row], threads: int, of: Of) -> Section:
    def statistic(sample: Sample) -> float:
        return sample.least if of == "least" else sample.value

    device = computing[0].point.device
    source = f"measured on {device}, with {computing[0].point.engine}, {threads} threads, {of} of the repeats"
    tiers, engine = fitted_cpu(file, computing, threads, statistic, source)
    part: Section = {"count": 1, "tiers": tiers, "engines": {"cpu": engine}}
    document: Section = {
        "schema": 1,
        "name": name,
        "description": f"{device}, {threads} at work",
        "devices": {"host": part},
    }
    if storage:
        source = f"measured on {storage[0].point.device}, with {storage[0].point.engine}, {of} of the repeats"

        def with_disk(tier: Section) -> Section:
            bus = tier["bandwidth"]
            link = {"bandwidth": bus}
            return {**part, "tiers": {**tiers, DISK: tier}, "links": {f"{DISK}->{MEMORY}": link}}

        def system_of(tier: Section) -> System:
            data = _plain({"name": name, "devices": {"host": with_disk(tier)}})
            return System(Machine.model_validate(data), Config(file, data, {}, {}))

        document["devices"] = {"host": with_disk(fitted_disk(file, storage, statistic, source, system_of))}
    return document


def _plain(node: Any) -> Any:
    """The figures of a document without their sources."""
    if isinstance(node, dict):
        return _plain(node["value"]) if "value" in node else {key: _plain(each) for key, each in node.items()}
    return node


def _check_one(file: Path, part: str, rows: Sequence[Row]) -> None:
    """Rows of one device, and of one version of what measured them."""
    for key in ("device", "engine"):
        first: dict[str, int] = {}
        for row in rows:
            first.setdefault(getattr(row.point, key), row.line)
        if len(first) > 1:
            (one, _), (other, line), *_ = first.items()
            what = "devices" if key == "device" else "versions"
            raise ConfigError(
                f"rows of two {what} of a {part}", file=file, line=line, path=key, found=f"'{other}'",
                expected=f"'{one}', as in the first; a table for each",
            )  # fmt: skip
