"""What a GPU is, as its kernels see it: SMs, clock, L2 cache, DRAM and peak rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from simulator.config.choose import check_name
from simulator.core import Quantity
from simulator.errors import ConfigError, one_of
from simulator.hardware import System
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT

L2_PORT = 64
"""Bytes a clock that one SM reads of the L2 cache (NVIDIA A100 whitepaper)."""


@dataclass(frozen=True)
class Chip:
    """The silicon of one GPU, in SI units; rates may be arrays of design points.

    Attributes:
        sms: streaming multiprocessors.
        clock: Hz of an SM at the peak rates.
        l2: bytes of the L2 cache.
        shared_memory: bytes of one SM.
        registers: bytes of one SM.
        bandwidth: B/s of DRAM.
        peak: FLOP/s by dtype, dense.
        link: B/s that the GPU sends to others of its node, each way; 0 where it has no others.
        network: B/s that the GPU sends to other nodes, each way; 0 where there are none.
        product: what it is sold as; empty where its machine does not say.
        host: B/s between the GPU's memory and its host, each way; 0 where there is no such link.
    """

    sms: int
    clock: Quantity
    l2: float
    shared_memory: float
    registers: float
    bandwidth: Quantity
    peak: Mapping[str, Quantity]
    link: Quantity = 0.0
    network: Quantity = 0.0
    product: str = ""
    host: Quantity = field(default=0.0, compare=False)

    @property
    def design(self) -> tuple[str, int, float]:
        """What a library's constants belong to, whatever the rates: the product, its SMs and its L2 cache."""
        return self.product, self.sms, self.l2

    def at(self, points: Any) -> Chip:
        """The chip at some of its design points, a slice of them or their places."""

        def of(rate: Quantity) -> Quantity:
            return rate[points] if isinstance(rate, np.ndarray) and rate.ndim else rate

        peak = {dtype: of(rate) for dtype, rate in self.peak.items()}
        clock, bandwidth = of(self.clock), of(self.bandwidth)
        link, network, host = of(self.link), of(self.network), of(self.host)
        return replace(self, clock=clock, bandwidth=bandwidth, peak=peak, link=link, network=network, host=host)

    @property
    def points(self) -> int:
        """How many design points it has; 1 where its rates are numbers."""
        rates = (self.clock, self.bandwidth, self.link, self.network, self.host, *self.peak.values())
        return max(np.size(rate) for rate in rates)

    @property
    def l2_bandwidth(self) -> Quantity:
        """B/s that all SMs read of the L2 cache."""
        return L2_PORT * self.sms * self.clock

    def rate(self, dtype: str) -> Quantity:
        """FLOP/s of products of operands in `dtype`, dense.

        Raises:
            ConfigError: the chip computes in no such format.
        """
        if dtype in self.peak:
            return self.peak[dtype]
        raise ConfigError(path="dtype", found=f"'{dtype}'", expected=one_of(self.peak))


def width(dtype: str) -> float:
    """Bytes of one element.

    Raises:
        ConfigError: no such format.
    """
    check_name(dtype, list(BYTES_PER_ELEMENT), "dtype")
    return BYTES_PER_ELEMENT[dtype]  # type: ignore[index]


def chip_of(system: System, engine: str | None = None) -> Chip:
    """The chip of an engine of a machine, `device.engine`; without a name, of its first engine that has a `chip`.

    Raises:
        ConfigError: the machine has no such engine, or nothing is known of its chip.
    """
    with_chip = [name for name, each in system.engines.items() if each.chip is not None]
    name = engine or next(iter(with_chip), None)
    description = system.engines.get(name) if name else None
    if name is None or description is None or description.chip is None:
        expected = f"an engine with 'chip': {one_of(with_chip)}" if with_chip else "a machine whose GPU has a 'chip'"
        raise ConfigError(
            path="hardware", found=f"'{system.name}'" if engine is None else f"'{engine}'", expected=expected
        )
    device = system.machine.devices[name.partition(".")[0]]
    caches = [device.tiers[tier] for tier in description.reads if device.tiers[tier].on_chip]
    memories = [device.tiers[tier] for tier in description.reads if not device.tiers[tier].on_chip]
    if not caches or not memories:
        raise ConfigError(path="hardware", found=f"'{system.name}'", expected=f"an L2 cache and DRAM that {name} reads")
    own = name.partition(".")[0]
    links = system.machine.links
    link, network = links.get(f"{own}<->{own}"), links.get("node<->node")
    hosts = [
        each for name, each in links.items() if name.startswith("host<->") and name.split("<->")[1].startswith(own)
    ]
    chip = description.chip
    return Chip(
        sms=chip.sms,
        clock=chip.clock,
        l2=caches[0].capacity,
        shared_memory=chip.shared_memory,
        registers=chip.registers,
        bandwidth=memories[0].bandwidth,
        peak=dict(description.peak),
        link=link.bandwidth * link.parallel if link else 0.0,
        network=network.bandwidth * network.parallel / device.count if network else 0.0,
        product=device.product or "",
        host=hosts[0].bandwidth if hosts else 0.0,
    )
