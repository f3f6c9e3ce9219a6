"""The form of a sweep's YAML: what stays, what varies, what follows from it, what must hold and what is wanted."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

import simulator.mapping.dispatch  # noqa: F401  # this registers those that have names
from simulator.config.choose import one_among, registered_as
from simulator.serving.lengths import Spread
from simulator.units import Bytes, Count, Fraction, Positive
from simulator.workload.formats import ComputingFormat, KvFormat
from simulator.workload.routers import ROUTERS

Scalar: TypeAlias = bool | int | float | str | None
End: TypeAlias = int | float | str
"""An end of a range: a number, or a text with a unit."""


class Part(BaseModel):
    """A section of a sweep's YAML: unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Workload(Part):
    """`batch` sequences of `input` tokens that each get `output`: all of it, or one of its phases.

    Of the kind `experts`, so many `experts`; of `neurons`, the `share` of active ones and the `exponent` of its growth.
    Of `requests`: so many of them, at a `rate` a second, by a `process`, with lengths that `spread` about these
    (`serving/lengths.py`), whose tokens a `router` sends to experts, and at most a `batch` of them at once.
    """

    phase: Literal["prefill", "decode", "request"] = "decode"
    batch: Count = 1
    input: Count = 512
    output: Count = 128
    experts: Count | None = None
    share: Fraction | None = None
    exponent: Fraction | None = None
    requests: Count | None = None
    rate: Positive | None = None
    process: Literal["poisson", "even"] | None = None
    spread: Spread | None = None
    router: Annotated[str, one_among(lambda: ROUTERS)] | None = None


class Mapping(Part):
    """Who computes, from where and in which order; null: as `tiersim estimate` has it without the option.

    `dtype` is the format of weights and of what computes with them, `kv` that of the KV cache (`workload/formats.py`).
    `device` and `engine` run the model; with a `dispatch`, all engines of the device do, `together` where it says so.
    Of the kind `experts`: the tiers where experts have their `home` and are copied to (`cache`), over so many `links`,
    and the `policy` that decides what leaves. Of `neurons`: the tiers `flash` and `dram`, the `manager` of rows,
    `threads` that read, `memory_bytes` of DRAM for the model, and `policy` and `overlap` (`serving/sparse.py`).
    """

    devices: Count | None = None
    device: str | None = None
    engine: str | None = None
    dispatch: Annotated[str, registered_as("dispatch")] | None = None
    together: bool = False
    dtype: ComputingFormat | None = None
    kv: KvFormat | None = None
    memory: str | None = None
    fusion: Literal["unfused", "conventional", "streaming"] | None = None
    home: str | None = None
    cache: str | None = None
    links: Count | None = None
    flash: str | None = None
    dram: str | None = None
    manager: str | None = None
    threads: Count | None = None
    policy: str | None = None
    overlap: Literal["none", "layer", "prefetch"] | None = None
    memory_bytes: Bytes | None = None


class Base(Part):
    """What is not varied. `set` holds overrides of the machine, as `--set` takes them.

    `kind` is what evaluates points, a registered `evaluator`; `costs` a table of costs, by name.
    """

    kind: str = "pass"
    costs: str | None = None
    hardware: str | None = None
    model: str | None = None
    workload: Workload = Workload()
    mapping: Mapping = Mapping()
    set: tuple[str, ...] = ()

    def by_path(self) -> dict[str, Any]:
        """Hardware, model, workload and mapping, by the paths that axes would have."""
        sections = {"workload": self.workload, "mapping": self.mapping}
        inner = {f"{name}.{key}": value for name, section in sections.items() for key, value in section}
        return {"hardware": self.hardware, "model": self.model, **inner}

    def given(self) -> list[str]:
        """The paths of the workload and the mapping that the YAML says something of."""
        sections = {"workload": self.workload, "mapping": self.mapping}
        return [
            f"{name}.{key}"
            for name, section in sections.items()
            for key in type(section).model_fields
            if key in section.model_fields_set and getattr(section, key) is not None
        ]


class Steps(Part):
    """The values of an axis, in one of four `WAYS`; `range` is start, stop (which is not one of them) and step.

    `linspace` and `geomspace` are first, last and how many. `name` is for expressions; under `when`, an expression of
    the axes before this one, it varies: elsewhere it is as in `base`.
    """

    values: Annotated[list[Scalar], Field(min_length=1)] | None = None
    range: Annotated[tuple[End, ...], Field(min_length=2, max_length=3)] | None = None
    linspace: tuple[End, End, Count] | None = None
    geomspace: tuple[End, End, Count] | None = None
    name: str | None = None
    when: str | None = None


WAYS = ("values", "range", "linspace", "geomspace")

Varied: TypeAlias = Annotated[list[Scalar], Field(min_length=1)] | Steps


class Form(Part):
    """The YAML of a sweep: points are all combinations of the `axes`, by dotted path, of which the last varies fastest.

    The axes of each mapping of `zip` move together; such groups vary before the others. `derived` values follow one
    from another, `constraints` must hold, and `objectives` name axes, derived values or metrics.
    """

    title: str = ""
    base: Base = Base()
    axes: Annotated[dict[str, Varied], Field(default_factory=dict)]
    zip: Annotated[list[Annotated[dict[str, Varied], Field(min_length=1)]], Field(default_factory=list)]
    derived: Annotated[dict[str, str | float], Field(default_factory=dict)]
    constraints: tuple[str, ...] = ()
    objectives: Annotated[dict[str, Literal["max", "min"]], Field(default_factory=dict)]
