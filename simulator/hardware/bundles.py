"""Bank bundles: cells that serve one reader at a time, and how long a read keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.core import Quantity, Resource
from simulator.hardware.stack import bank_bandwidth, bank_fraction, bundle_banks
from simulator.hardware.system import System


def bundle_seconds(
    system: System, device: str, tier: str, engine: str, size: Quantity, spaces: Sequence[int]
) -> dict[Resource, Quantity]:
    """Seconds that a read of `size` bytes, evenly from `spaces`, keeps each of these bundles (numbered from 0).

    A read by units in the memory takes one bundle after the other, each at the achieved rate of the port:
    `size / spaces / rate`. So does one over the bus where `bus_read` is `exclusive`: a bundle is the reader's while the
    bus brings its bytes (arXiv 2409.01141, section V-C: a space belongs to one unit as a whole). Where it is
    `bank_exact`, a bundle is kept only as long as its banks would be at work all together,
    `size / spaces / (bank_bandwidth * bank_fraction)`: units in the memory may read it in between.
    Empty where the tier has no bundles.

    Args:
        system: the machine.
        device, tier, engine: by name, as the YAML has them.
        size: bytes of one device, a number or an array.
        spaces: the bundles that the bytes lie in.

    Raises:
        ConfigError: a bundle, a tier or a port that there is not.
    """
    name = f"{device}.{tier}"
    port = system[f"{name}->{device}.{engine}"]
    described = system.tiers[name]
    stack = described.stack
    if stack is None or stack.bundles == 1:
        return {}
    rate: Quantity
    if stack.bus_read == "exclusive" or system.engines[f"{device}.{engine}"].in_memory:
        rate = port.rate(size)
    else:
        banks = bundle_banks(stack)
        rate = described.stacks * bank_bandwidth(stack, banks) * bank_fraction(stack, banks)
    places = dict.fromkeys(spaces)
    return {system[f"{name}.bundle{place + 1}"]: size / rate / len(places) for place in places}
