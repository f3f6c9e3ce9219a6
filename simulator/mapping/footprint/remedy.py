"""What would fit where a static batch does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from simulator.mapping.footprint.held import held
from simulator.mapping.parallel.tensor import even_ways
from simulator.mapping.target import Target

if TYPE_CHECKING:
    from simulator.mapping.footprint.footprint import Footprint


def remedy(full: Footprint) -> str:
    """What would fit: fewer sequences, a shorter context, more devices, or formats of fewer bytes."""
    most, longest = full.max_batch(), full.max_context()
    fits = [f"batch {most}"] if most else []
    fits += [f"contexts of {longest:,} tokens"] if longest else []
    if full.deployment.parallel.is_tensor:
        fits += () if full.deployment.placed else _other_machines(full)
        if not fits and full.deployment.placed:
            return "more of it must lie in tiers that have room"
        if not fits:
            return "no number of devices makes it fit"
    elif not fits:
        return "more stages, more devices a stage, or a smaller dtype or kv"
    return f"fits with {' or with '.join(fits)}, or try a smaller dtype or kv"


def _other_machines(full: Footprint) -> Iterator[str]:
    """More of the devices, or another tier that all engines read."""
    deployed = full.deployment
    engine, context = deployed.engines[0], float(full.input + full.output)
    if any(other.device != engine.device for other in deployed.engines):
        return

    def fits(changed: Callable[[Target], Target]) -> bool:
        other = replace(deployed, engines=tuple(map(changed, deployed.engines)))
        return all(h.fits for h in held(other, full.batch, context, full.input))

    device, system = engine.device, engine.system
    linked = f"{device}->{device}" in system.links
    counts = set[int].intersection(*(set(even_ways(m)) for m in deployed.models)) if linked else ()
    for count in sorted(n for n in counts if n > engine.ways and n % system.machine.nodes == 0):
        larger = system.with_devices(count, device)
        if fits(lambda target, larger=larger: replace(target, system=larger)):  # type: ignore[misc]
            yield f"{count} of {device}"
            break
    others = [t for t in engine.description.reads if t != engine.memory and not system.tiers[f"{device}.{t}"].on_chip]
    for tier in (t for t in others if all(t in other.description.reads for other in deployed.engines)):
        if fits(lambda target, tier=tier: replace(target, memory=tier)):  # type: ignore[misc]
            yield f"--memory {tier}"
            if engine.description.kind == "dataflow" and deployed.draft is None:
                yield "--spill"
