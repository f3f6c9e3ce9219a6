"""Does it fit? What a static batch keeps, and how many sequences, how long, there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.core import Quantity
from simulator.errors import CapacityError
from simulator.mapping.footprint.held import Held, held, held_as_placed, held_in_both
from simulator.mapping.footprint.kept import largest
from simulator.mapping.footprint.remedy import remedy
from simulator.mapping.parallel.pipeline import Replica
from simulator.mapping.placement.auto import fitting, placement_of
from simulator.mapping.placement.placed import Placed
from simulator.mapping.spill.passes import Spill
from simulator.mapping.spill.static_batch import fit_spilled, spilled
from simulator.mapping.static_batch import share, staged

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment


@dataclass(frozen=True, eq=False)
class Footprint:
    """What a static batch keeps: the one answer to what fits, and to how much more would.

    Attributes:
        places: what one replica keeps, tier by tier; where it has stages, stage by stage.
        stages: the stages of a replica, where there are more than one, each with the layers that it has for this batch.
        spill: where the symbols of a batch lie that one tier does not hold.
        placed: which part of the model lies where, by rules.
        refusal: why what spills does not fit either.
    """

    deployment: Deployment
    batch: Quantity
    input: Quantity
    output: Quantity
    places: tuple[Held, ...]
    stages: Replica | None = None
    spill: Spill | None = None
    refusal: CapacityError | None = None
    placed: Placed | None = None

    @property
    def tiers(self) -> dict[str, Held]:
        """What each tier keeps, of all devices together."""
        tiers = dict.fromkeys(held.tier for held in self.places)
        return {tier: self._sum([held for held in self.places if held.tier == tier]) for tier in tiers}

    @property
    def total(self) -> Held:
        """What all tiers keep together; by the name of main memory."""
        return self._sum(self.places)

    def _sum(self, places: Sequence[Held]) -> Held:
        copies = self.deployment.parallel.copies
        kinds = ("capacity", "weights", "kv", "activations", "kept")
        return Held(places[0].tier, *(sum(getattr(held, kind) for held in places) * copies for kind in kinds))

    @property
    def fits(self) -> bool | NDArray[np.bool_]:
        """Whether every place holds what it should; an array where the batch or its lengths are."""
        fits = [held.fits for held in self.places]
        return np.logical_and.reduce(np.broadcast_arrays(*fits)) if any(map(np.ndim, fits)) else all(fits)

    @property
    def resident(self) -> bool | NDArray[np.bool_]:
        """Whether it fits, and nothing spills."""
        return self.fits and self.spill is None

    def max_batch(self) -> int:
        """The largest batch that fits at these lengths, a multiple of the replicas; 0: not one."""
        copies = self.deployment.parallel.data
        context = int(self.input + self.output)
        near = int(self._more * self.batch / copies)
        return copies * largest(lambda each: self._fit(each, context), near=max(near, 1))

    def max_context(self) -> int:
        """The longest context, of a prompt and its answer of this length, that fits, at most what the models take."""
        each = float(self.batch / self.deployment.parallel.data)
        most = min(model.max_context for model in self.deployment.models)
        near = int(self._more * (self.input + self.output))
        return largest(lambda context: self._fit(each, context), most, max(near, 1))

    def at(self, batch: int, context: int) -> Footprint:
        """The footprint of another batch and context, with answers of at most this length, if nothing spills."""
        output = min(int(self.output), context)
        return _resident(self.deployment, batch, context - output, output, timed=False)

    def check(self) -> None:
        """Nothing, where it fits.

        Raises:
            CapacityError: it does not; says what would.
        """
        if self.refusal:
            raise self.refusal
        names = " and ".join(model.name for model in self.deployment.models)
        for place, each in enumerate(self.places):
            if not each.fits:
                where = f" of stage {place + 1} of {len(self.places)}" if self.stages else ""
                raise CapacityError(
                    f"{names} with {self.batch} x {self.input + self.output:,} tokens in {each.tier}{where}",
                    needed=float(each.used),
                    available=each.capacity,
                    remedy=remedy(self),
                )

    @property
    def _more(self) -> float:
        """As many times the tokens, or nearly, would fill what there is."""
        total = self.total
        return float((total.capacity - total.weights) / (total.used - total.weights))

    def _fit(self, each: float, context: int) -> bool:
        """Whether `each` sequences of a replica fit, of so many tokens in the end."""
        deployed, output = self.deployment, int(self.output)
        if self.at(int(each * deployed.parallel.data), context).fits:
            return True
        return (
            deployed.spill is not None
            and context > output
            and fit_spilled(deployed, int(each), context - output, output)
        )


def footprint(deployed: Deployment, batch: Quantity, input: Quantity, output: Quantity) -> Footprint:
    """The footprint of `batch` prompts of `input` tokens, with `output` tokens for each.

    Raises:
        ConfigError: a batch that the replicas do not share evenly; more stages than layers.
    """
    of_batch = _resident(deployed, batch, input, output)
    if deployed.spill is None or of_batch.fits:
        return of_batch
    try:
        spill = spilled(deployed, int(share(deployed, batch)), int(input), int(output))
    except CapacityError as error:
        return replace(of_batch, refusal=error)
    return replace(of_batch, places=held_in_both(spill), spill=spill)


def _resident(
    deployed: Deployment, batch: Quantity, input: Quantity, output: Quantity, timed: bool = True
) -> Footprint:
    """The footprint in main memory alone, or where rules say; by those of least time, or by any (`timed`)."""
    each = share(deployed, batch)
    stages = staged(deployed, int(each), int(input), int(output)) if deployed.parallel.pipeline > 1 else None
    if deployed.placed:
        find = placement_of if timed else fitting
        placed = find(deployed, float(each), float(input), float(output))
        return Footprint(deployed, batch, input, output, held_as_placed(placed, each, input), placed=placed)
    return Footprint(deployed, batch, input, output, held(deployed, each, input + output, input, stages), stages)
