"""Parts of a model in several tiers: bytes are those asked, slower tiers take no less time, and both forms agree."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Plan, closed_form
from simulator.core.events import events
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.deployment import Deployment, resolve
from simulator.mapping.footprint.kept import stored_bytes
from simulator.mapping.form import MappingForm
from simulator.mapping.placement.layout import layer_kv, weights_of
from simulator.workload import load_model

BATCH, INPUT, OUTPUT = 4, 64, 3
TO_GPU, TO_HOST = "host.dram->gpu.vram", "gpu.vram->host.dram"
ATTIC = {"kind": "host", "capacity": "1 TB", "bandwidth": "100 GB/s"}
PARTS = ["experts", "ffn", "attention", "head"]


@cache
def deployed(model: str = "mixtral-8x7b", hardware: str = "rtx4090-gen4", **keys: Any) -> Deployment:
    rules = tuple(dict(rule) for rule in keys.pop("rules", ()))
    if "block" in keys:
        keys["block"] = {"batches": keys["block"]}
    form = MappingForm(placement=keys.pop("placement", rules), runtime=keys.pop("runtime", "ideal"), **keys)
    return resolve(form, load_system(hardware), load_model(model, ["layers=4"]))


def placed(*rules: dict[str, Any], **keys: Any) -> Deployment:
    return deployed(rules=tuple(tuple(rule.items()) for rule in rules), **keys)


def step(of: Deployment, batch: int = BATCH) -> Plan:
    return of.passes(batch, INPUT, OUTPUT).step(float(INPUT))


def crossed(plan: Plan, link: str) -> float:
    return sum(float(units) for resource, units in plan.demand().items() if resource.name == link)


def seconds(of: Deployment) -> float:
    passes = of.passes(BATCH, INPUT, OUTPUT)
    return float(closed_form(passes.first).time) + float(closed_form(passes.step(float(INPUT))).time)


@pytest.mark.parametrize("model", ["mixtral-8x7b", "llama-2-7b", "opt-6.7b", "deepseek-v3"])
@pytest.mark.parametrize("ways", [1, 2])
def test_weights_by_part_and_layer_are_all_that_a_model_stores(model: str, ways: int) -> None:
    loaded = load_model(model)
    assert sum(weights_of(loaded, ways).values()) == pytest.approx(stored_bytes(loaded, ways), rel=1e-9)


def test_without_rules_a_pass_takes_what_it_takes_unplaced() -> None:
    rule = {"of": "ffn", "in": "gpu.vram"}
    assert seconds(placed(rule)) == pytest.approx(seconds(placed()), rel=1e-12)


@given(part=st.sampled_from(PARTS[:3]), share=st.integers(1, 100), layers=st.sampled_from(["0-1", "2-", "0,3", None]))
@settings(max_examples=10, deadline=None)
def test_bytes_that_cross_the_link_ahead_are_the_weights_that_rules_have_copied(
    part: str, share: int, layers: str | None
) -> None:
    of = placed({"of": part, "in": "host.dram", "use": "copy", "amount": f"{share} %", "layers": layers})
    own = {"0-1": (0, 1), "2-": (2, 3), "0,3": (0, 3), None: range(4)}[layers]
    sizes = weights_of(of.model, 1)
    asked = sum(sizes[part, layer] for layer in own) * share / 100
    for plan in (step(of), of.passes(BATCH, INPUT, OUTPUT).first):
        assert crossed(plan, TO_GPU) == pytest.approx(asked, rel=1e-9)
        assert crossed(plan, TO_HOST) == 0.0


def test_what_is_read_over_the_link_is_what_the_kernels_read_and_main_memory_has_the_rest() -> None:
    plain, of = step(placed()), step(placed({"of": "experts", "in": "host.dram", "use": "read"}))
    experts = sum(
        float(operator.bytes.get("expert", 0.0)) * block.repeat
        for block in _decode_blocks()
        for operator in block.operators
    )
    assert crossed(of, TO_GPU) == pytest.approx(experts, rel=1e-9)
    assert crossed(plain, "gpu.vram") - crossed(of, "gpu.vram") == pytest.approx(experts, rel=1e-9)


def _decode_blocks() -> Any:
    from simulator.workload import decode, operator_graph

    return operator_graph(placed().model, decode(BATCH, INPUT)).blocks


@given(
    part=st.sampled_from(PARTS),
    shares=st.tuples(st.integers(1, 100), st.integers(1, 100)),
    use=st.sampled_from(["read", "copy"]),
)
@settings(max_examples=10, deadline=None)
def test_more_bytes_in_a_slower_tier_are_never_faster(part: str, shares: tuple[int, int], use: str) -> None:
    less, more = sorted(shares)
    times = [
        seconds(placed({"of": part, "in": "host.dram", "amount": f"{share} %", "use": "copy"}))
        for share in (less, more)
    ]
    assert times[0] <= times[1] * (1 + 1e-12)
    assert seconds(placed()) <= times[0] * (1 + 1e-12)


@pytest.mark.parametrize(
    "rules",
    [
        [{"of": ["experts"], "in": "host.dram", "use": "read"}],
        [{"of": ["experts"], "in": "host.dram", "by": "host.cpu"}],
        [{"of": ["ffn", "experts", "attention", "kv"], "layers": "2-", "in": "host.dram", "by": "cpu"}],
        [{"of": "kv", "in": "host.dram", "use": "read"}],
    ],
)
def test_events_take_as_long_as_the_closed_form_where_nothing_contends(rules: list[dict[str, Any]]) -> None:
    of = placed(*(rule | {"of": tuple(rule["of"]) if isinstance(rule["of"], list) else rule["of"]} for rule in rules))
    for plan in (step(of), of.passes(BATCH, INPUT, OUTPUT).first):
        timing = closed_form(plan)
        assert timing.exact
        assert events(plan).time == pytest.approx(float(timing.time), rel=1e-9)


@pytest.mark.parametrize("batches", [1, 2, 4])
def test_copies_beside_layers_take_between_the_bound_and_their_sum(batches: int) -> None:
    rules = {"of": ("ffn", "attention", "experts", "kv"), "in": "host.dram", "use": "copy"}
    plan = step(placed(rules, block=batches))
    simulated, bound = events(plan).time, float(closed_form(plan).time)
    alone = sum(activity.alone + float(activity.latency) for activity, n in plan.activities() for _ in range(n))
    assert bound * (1 - 1e-9) <= simulated <= alone * (1 + 1e-9)


def test_batches_that_take_turns_share_a_copy_of_the_weights_and_each_has_its_keys_and_values() -> None:
    weights = {"of": ("ffn", "attention", "experts"), "in": "host.dram", "use": "copy"}
    kv = {"of": "kv", "in": "host.dram", "use": "copy"}
    one, turns = (step(placed(weights, block=block), 8) for block in (1, 4))
    assert crossed(one, TO_GPU) == pytest.approx(crossed(turns, TO_GPU), rel=1e-9)
    one, turns = (step(placed(kv, block=block), 8) for block in (1, 4))
    assert crossed(one, TO_GPU) == pytest.approx(crossed(turns, TO_GPU), rel=1e-9)
    assert crossed(one, TO_HOST) == pytest.approx(crossed(turns, TO_HOST), rel=1e-9)


def test_an_engine_beside_computes_and_activations_cross_the_link_there_and_back() -> None:
    of = placed({"of": "experts", "in": "host.dram", "by": "host.cpu"})
    plan, model = step(of), of.model
    assert crossed(plan, "host.dram->host.cpu") > 0
    hidden = BATCH * model.hidden * 2.0
    assert crossed(plan, TO_HOST) == pytest.approx(4 * hidden, rel=0.01)  # and which experts they chose
    assert crossed(plan, TO_GPU) == pytest.approx(4 * hidden, rel=1e-9)


@pytest.mark.parametrize(("amount", "layers"), [("50 %", "0-1"), ("74 %", "0-1"), ("75 %", "0-2"), ("100 %", "0-")])
def test_an_amount_that_another_engine_computes_is_the_first_layers_that_it_has_room_for(
    amount: str, layers: str
) -> None:
    rule = {"of": ("experts", "ffn"), "in": "host.dram", "by": "host.cpu"}
    some, whole = placed(rule | {"amount": amount}), placed(rule | {"layers": layers})
    assert seconds(some) == seconds(whole) > seconds(placed())
    held = [of.footprint(BATCH, INPUT, OUTPUT).tiers["host.dram"].weights for of in (some, whole)]
    assert held[0] == held[1] > 0


def test_last_layers_on_another_engine_send_the_stream_once_there_and_once_back() -> None:
    parts = ("ffn", "experts", "attention", "kv")
    plan = step(placed({"of": parts, "layers": "1-", "in": "host.dram", "by": "cpu"}))
    hidden = BATCH * placed().model.hidden * 2.0
    assert crossed(plan, TO_HOST) == crossed(plan, TO_GPU) == hidden


def test_what_is_not_pinned_is_read_and_written_once_more_in_host_memory() -> None:
    def host(pinned: bool) -> float:
        rule = {"of": "ffn", "in": "host.dram", "use": "copy", "pinned": pinned}
        return crossed(step(placed(rule, model="llama-2-7b")), "host.dram")

    assert host(False) == pytest.approx(3 * host(True), rel=1e-9)


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        ({"of": "ffn", "in": "hosst"}, "in", "did you mean"),
        ({"of": "ffn", "in": "host.dram", "layers": "3-9"}, "layers", "0 to 3"),
        ({"of": "head", "in": "host.dram", "layers": "1"}, "layers", "expected none"),
        ({"of": "ffn", "in": "host.dram", "by": "cpuu"}, "by", "no such engine"),
        ({"of": "ffn", "in": "host.flash", "use": "read"}, "use", "flash"),
        ({"of": ("ffn", "head"), "in": "host.dram", "by": "cpu", "amount": "50 %"}, "amount", "computed whole"),
    ],
)
def test_a_rule_that_cannot_be_is_told_by_its_number_and_key(rule: dict[str, Any], path: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        placed(rule)
    assert tuple(error.value.path or ()) == ("placement", 0, path)


def test_a_tier_that_nothing_reaches_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing leads from it") as error:
        apart = load_system({"extends": "rtx4090-gen4", "tiers": {"attic": ATTIC}})
        resolve(MappingForm(placement=[{"of": "ffn", "in": "attic"}]), apart, load_model("llama-2-7b"))
    assert tuple(error.value.path or ()) == ("placement", 0, "in")


def drafted(*rules: dict[str, Any], **draft: Any) -> Deployment:
    form = MappingForm.model_validate(
        {"placement": rules, "runtime": "ideal", "draft": draft or {"model": "llama-2-7b", "acceptance": 0.7}}
    )
    return resolve(form, load_system("rtx4090-gen4"), load_model("llama-2-70b", ["layers=4"]))


def test_a_draft_lies_where_its_rule_says_and_the_model_where_others_do() -> None:
    apart, there = drafted({"of": "draft", "in": "host.dram", "use": "read"}), drafted({"of": "ffn", "in": "gpu.vram"})
    draft = apart.draft.draft if apart.draft else None
    assert draft
    moved = stored_bytes(draft, 1) + sum(layer_kv(draft, 1, INPUT + OUTPUT)) * BATCH
    held, all_there = (of.footprint(BATCH, INPUT, OUTPUT).tiers for of in (apart, there))
    assert held["host.dram"].used == pytest.approx(moved, rel=1e-9)
    assert held["gpu.vram"].used == pytest.approx(all_there["gpu.vram"].used - moved, rel=1e-9)
    assert apart.draft
    plan, drafts = step(apart), apart.draft.drafted
    read = stored_bytes(draft, 1) - float(weights_of(draft, 1)["embedding", 0])
    assert crossed(plan, TO_GPU) == pytest.approx(drafts * read, rel=0.05)
    assert seconds(apart) > seconds(there)


def test_rules_that_move_nothing_leave_a_speculative_step_as_it_is() -> None:
    plain, there = drafted(), drafted({"of": ["ffn", "draft"], "in": "gpu.vram"})
    assert seconds(there) == pytest.approx(seconds(plain), rel=1e-9)


def test_a_rule_of_a_draft_without_a_model_that_drafts_is_refused() -> None:
    with pytest.raises(ConfigError, match="no other model drafts") as error:
        drafted({"of": "ffn", "in": "host"}, {"of": "draft", "in": "host"}, kind="ngram", acceptance=0.5)
    assert tuple(error.value.path or ()) == ("placement", 1, "of")


def test_each_tier_holds_the_bytes_that_rules_have_there() -> None:
    of = placed({"of": "experts", "in": "host.dram", "amount": "25 %", "use": "read"})
    tiers = of.footprint(BATCH, INPUT, OUTPUT).tiers
    experts = sum(size for (part, _), size in weights_of(of.model, 1).items() if part == "experts")
    assert tiers["host.dram"].weights == pytest.approx(experts / 4, rel=1e-12)
    assert tiers["gpu.vram"].weights == pytest.approx(stored_bytes(of.model, 1) - experts / 4, rel=1e-12)


def test_what_is_copied_ahead_has_room_for_two_layers() -> None:
    of = placed({"of": "ffn", "in": "host.dram", "use": "copy"}, model="llama-2-7b")
    tiers = of.footprint(BATCH, INPUT, OUTPUT).tiers
    sizes = weights_of(of.model, 1)
    whole, layer = sum(sizes.values()), sizes["ffn", 0]
    assert tiers["gpu.vram"].weights == pytest.approx(whole - 4 * layer + 2 * layer, rel=1e-12)
