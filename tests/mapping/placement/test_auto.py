"""Rules of least time: none that were tried are faster, all fit, and main memory is filled to its end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware import load_system
from simulator.mapping.deployment import Deployment, resolve
from simulator.mapping.form import MappingForm
from simulator.mapping.placement.auto import over, placement_of, seconds, tried
from simulator.workload import load_model

INPUT, OUTPUT = 64.0, 4.0
MODELS = ["llama-2-7b", "mixtral-8x7b"]


def deployed(model: str, capacity: float, placement: object = "auto") -> Deployment:
    system = load_system("rtx4090-gen4").put({"devices.gpu.tiers.vram.capacity": capacity})
    form = MappingForm.model_validate({"placement": placement, "runtime": "ideal"})
    return resolve(form, system, load_model(model, ["layers=4"]))


@given(
    model=st.sampled_from(["llama-2-7b", "mixtral-8x7b"]), room=st.floats(0.3, 1.3), batch=st.sampled_from([1.0, 32.0])
)
@settings(max_examples=4, deadline=None)
def test_no_rules_that_were_tried_take_less_time_and_all_fit(model: str, room: float, batch: float) -> None:
    need = deployed(model, 1e12, ()).footprint(batch, INPUT, OUTPUT).total.used
    of = deployed(model, room * float(need))
    chosen, others = placement_of(of, batch, INPUT, OUTPUT), list(tried(of, batch, INPUT, OUTPUT))
    assert over(chosen, batch, INPUT) <= 0
    least = seconds(chosen, batch, INPUT, OUTPUT)
    assert all(least <= seconds(each, batch, INPUT, OUTPUT) * (1 + 1e-12) for each in others)
    assert (not chosen.rules) == (room >= 1)


def test_as_little_as_leaves_room_lies_elsewhere() -> None:
    of = deployed("llama-2-7b", 1.2e9)
    spread = [each for each in tried(of, 1.0, INPUT, OUTPUT) if any(rule.amount for rule in each.rules)]
    assert spread
    for each in spread:
        assert -2048 <= over(each, 1.0, INPUT, "gpu.vram") <= 0


@pytest.mark.parametrize("capacity", [1.6e9, 2e9])
def test_one_sequence_more_than_the_largest_batch_does_not_fit(capacity: float) -> None:
    of = deployed("llama-2-7b", capacity, [{"of": ["ffn", "attention"], "in": "host.dram", "use": "copy"}])
    most = of.footprint(1, 64, 4).max_batch()
    assert of.footprint(most, 64, 4).fits
    assert not of.footprint(most + 1, 64, 4).fits
