"""A runtime: the software between a model and a machine, and what it makes of the machine. The form of its YAML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from simulator.config import Config, load, validate
from simulator.config.choose import choose
from simulator.config.plausible import check_sizes
from simulator.config.resolve import Override
from simulator.config.section import Section
from simulator.files import remembered
from simulator.hardware.machine import Device, Efficiency, Operands
from simulator.mapping.form import DEFAULT_SCHEDULER, RUNTIMES, MappingForm, Scheduler
from simulator.mapping.runtime.host_time import Host
from simulator.units import Bandwidth, Count, Fraction, Seconds, Unit
from simulator.workload.formats.named import ComputingFormat, KvFormat

IDEAL = "ideal"
"""The machine alone: nothing is launched, and all is achieved that the machine's own YAML has."""
ANY = "any"
"""Names all devices, in the table `by_device` of a runtime."""


class HostTime(Section):
    """What the host takes for one pass: `step + layers x layer + sequences x (sequence + vocabulary x logit)`."""

    step: Seconds | None = None
    """Of each pass, whatever is in it."""
    layer: Seconds | None = None
    """Of each layer of the model, in a pass whose kernels are launched one by one."""
    sequence: Seconds | None = None
    """Of each sequence of the pass."""
    prompt: Seconds | None = None
    """Of each pass that computes prompts, beside the rest."""
    logit: Seconds | None = None
    """Of each sequence and each token of the vocabulary, of which it samples one; the same at all degrees of TP."""


class Library(Section):
    """What the libraries of a runtime achieve on an engine; a figure in the machine's own YAML holds before it."""

    launch: Seconds | None = None
    """What each kernel waits for before it starts."""
    compute: Fraction | None = None
    """The fraction of the peak rate that is achieved."""
    memory: Fraction | Efficiency | None = None
    """The fraction of the bandwidth of the main memory that is achieved: one, or a curve over the bytes of a kernel."""
    memory_of: dict[ComputingFormat, Fraction | Efficiency] = Field(default_factory=dict)
    """The same where weights have a format that has kernels of its own; others have `memory`."""
    copy_bandwidth: Bandwidth | None = None
    """Rate at which the program copies within main memory, each byte read and written once; for neurons from flash."""
    shape: Seconds | None = None
    """What preparing a kernel of a new shape takes, where neurons are read from flash."""
    fusion: Literal["unfused", "conventional"] | None = None
    """How operators become kernels."""
    operands: Operands | None = None
    """What it writes of operands before products read them."""
    reserve: Annotated[float, Unit("1"), Field(ge=0, lt=1)] | None = None
    """Share of the main memory of each device that the program keeps for itself."""


class Protocol(Section):
    """What the software makes of a link; a figure in the machine's own YAML holds before it."""

    latency: Seconds | None = None
    """What a copy, or each phase of a collective, waits for."""
    efficiency: Fraction | Efficiency | None = None
    """The fraction of the bandwidth that is achieved: one, or a curve over the bytes of a transfer."""


class Offload(Section):
    """How a runtime treats what lies in other tiers than the main memory of an engine."""

    ahead: bool = True
    """Whether what a layer needs is copied while the layer before it computes; else between them."""
    pinned: bool = True
    """Whether copies come from pinned memory; else through a buffer that is."""
    staging: Bandwidth | None = None
    """The rate at which a thread fills that buffer; null: as fast as the memory."""
    together: bool = False
    """Whether engines of which none waits for the other compute at once; else kernels run one after another."""


class OnDevice(Section):
    """A runtime on one device, or on a family of them."""

    engines: dict[str, Library] = Field(default_factory=dict)
    """Its libraries, by the kind of engine: `gpu`, `cpu`."""
    tiers: dict[str, Fraction | Efficiency] = Field(default_factory=dict)
    """The fraction of a memory's bandwidth that all engines together reach, by the kind of the tier: `ddr`, `lpddr`."""
    collective: Protocol = Protocol()
    """Its collectives, over the links between the devices of a node."""
    between_nodes: Protocol = Protocol()
    """Its collectives, over the links between nodes."""
    copies: Protocol = Protocol()
    """Its copies, over links between tiers."""
    host: HostTime = HostTime()
    """The time of its host for a pass."""
    kernels: dict[str, dict[str, dict[str, float | str]]] = Field(default_factory=dict)
    """Constants of models of its kernels, by class and variant, where no calibration of the device under it has any."""

    @model_validator(mode="after")
    def _are_constants(self) -> Self:
        """Check the constants against the forms of their classes."""
        if not self.kernels:
            return self
        from simulator.mapping.gpu.kernels import KERNELS  # which most runtimes have no constants of

        for name, variants in self.kernels.items():
            choose(name, KERNELS, "kernels")
            for stated in variants.values():
                KERNELS[name].library.model_validate(stated)
        return self


class Runtime(Section):
    """The software between a model and a machine: what it makes of devices, and how it serves.

    Of a device, a figure is looked up in `by_device`: under the `product` of the device, its `family`, or `any`.
    """

    name: str = ""
    """What the runtime is called in results; the name of its file unless given."""
    description: str = ""
    """One line for people, which lists show."""
    aliases: tuple[str, ...] = ()
    """Names under which measured data know it, with or without a version behind; not of one that extends it."""
    launch: Literal["stream", "graph"] = "stream"
    """Whether the host launches kernels one by one, or a decode step as one graph, which takes it no time a layer."""
    overlaps: bool = False
    """Whether the host works while the devices do, so that a pass takes the longer of both; else it takes their sum."""
    modelled: bool = False
    """Whether models of GPU kernels hold for its libraries, so that a mapping may ask for them (`kernels`)."""
    kernels_of: str | None = None
    """The runtime whose measured kernels are its own, as of the same program in another year; null: itself."""
    scales: Literal["dynamic", "static"] = "dynamic"
    """Scales of activations in 8 bits: looked for by a kernel of each call, or stated by the checkpoint."""
    fused: tuple[Literal["rope", "layers"], ...] = ()
    """What modelled kernels have in them: `rope` in attention; `layers`, the sum of one and the norm of the next."""
    kv_block: Count = 1
    """Tokens of a block of the KV cache: a sequence has whole blocks."""
    prefix_caching: bool = False
    """Whether blocks of a prefix that others have too are found again, where the mapping says nothing."""
    kv: dict[ComputingFormat, KvFormat] = Field(default_factory=dict)
    """The format of KV caches by that of the weights, where the mapping has none; others as the model has it."""
    microbatches: Count | None = None
    """Microbatches of a static batch in a pipeline, at most; null: as many as it has stages, which keeps it full."""
    divides_context: bool = False
    """Whether devices may share each sequence (`context` of a mapping); else that is refused."""
    splits_batch: bool = False
    """Whether a static batch that does not fit runs as several, one after another; else it is refused."""
    scheduler: Scheduler = DEFAULT_SCHEDULER
    """What chooses requests, where the mapping says nothing; where it names another kind, the most sequences alone."""
    offload: Offload = Offload()
    """What it makes of tiers behind a link."""
    by_device: dict[str, OnDevice] = Field(default_factory=dict)
    """What it makes of a device, by the `product` or the `family` of the device; `any`: of all others."""


@dataclass(frozen=True, eq=False)
class Software:
    """A runtime, and where its figures come from."""

    runtime: Runtime
    config: Config = field(repr=False)

    @property
    def name(self) -> str:
        return self.runtime.name or self.config.file.stem

    def figure(self, device: Device, *keys: str) -> tuple[Any, tuple[str, ...]] | None:
        """A figure on a device, as `by_device` has it, and its path in the runtime's YAML; None where it has none."""
        for name in names(device):
            part: Any = self.runtime.by_device.get(name)
            for key in keys:
                part = part.get(key) if isinstance(part, dict) else getattr(part, key, None)
            if part is not None:
                return part, ("by_device", name, *keys)
        return None

    def kernels(self, device: Device) -> dict[str, dict[str, dict[str, float | str]]]:
        """The constants of kernels that it states for a device, by class and variant; the closest name counts."""
        stated: dict[str, dict[str, dict[str, float | str]]] = {}
        for name in reversed([*names(device)]):
            for kernel, variants in self.runtime.by_device.get(name, OnDevice()).kernels.items():
                stated.setdefault(kernel, {}).update(variants)
        return stated

    def host(self, device: Device, vocabulary: float) -> Host:
        """What the host of a device takes for a pass of a model with so many tokens to choose among."""
        known = (self.figure(device, "host", key) for key in ("step", "layer", "sequence", "prompt", "logit"))
        step, layer, sequence, prompt, logit = (float(each[0]) if each else 0.0 for each in known)
        sampled = sequence + vocabulary * logit
        return Host(step, layer, sampled, prompt, self.runtime.overlaps, self.runtime.launch == "graph")


def names(device: Device) -> Iterator[str]:
    """What a runtime may call a device, the closest first."""
    yield from (name for name in (device.product, device.family) if name)
    yield ANY


def load_runtime(name: str | Path, overrides: Sequence[Override] = ()) -> Software:
    """Read a runtime by its name in `hwconfigs/runtimes/`, or by its path; `overrides` are `path.to.key=value`.

    Raises:
        ConfigError: what is wrong with the file, with its line and key path.
    """
    return _loaded(str(name), tuple(overrides))


@remembered(64)
def _loaded(name: str, overrides: tuple[Override, ...]) -> Software:
    config = load(name, RUNTIMES, overrides)
    runtime = validate(config, Runtime)
    check_sizes("runtime", runtime, config)
    return Software(runtime, config)


def runtime_of(form: MappingForm, machine_default: str | None) -> Software:
    """The runtime of a mapping: the one that it names, else the one that its machine does, else `ideal`."""
    return load_runtime(form.runtime or machine_default or IDEAL)
