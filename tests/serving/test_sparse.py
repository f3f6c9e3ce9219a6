from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from simulator.errors import CapacityError, ConfigError
from simulator.hardware import load_system
from simulator.mapping.neurons.held import Keeping, NeuronTraffic, held, settled
from simulator.mapping.neurons.stored import Stored, stored
from simulator.mapping.neurons.token_plan import Memory
from simulator.mapping.target import target
from simulator.serving.sparse import Overlap, decode_dense, decode_sparse
from simulator.workload import load_model, weight_bytes
from simulator.workload.model.form import Dtypes
from simulator.workload.neurons.window_law import WindowLaw, renewal
from tests.deployed import under

LAW = WindowLaw.fitted(5, 0.24, 0.024)
CONTEXT = 128.0 + np.arange(8)
CPU, GPU = "soc.cpu", "soc.gpu"


def opt(dtype: str = "fp16", layers: int = 4) -> Stored:
    """OPT-6.7B with fewer layers."""
    dtypes = Dtypes.model_validate({"weights": dtype, "activations": dtype, "kv": dtype})
    model = load_model("opt-6.7b", [f"layers={layers}"]).model_copy(update={"dtypes": dtypes})
    return stored(model, ranks=[(128, layers)])


PROGRAM = "flash-neurons"
"""The runtime, which says how fast rows are moved."""


def m1(engine: str = "gpu", *settings: str) -> Memory:
    system = under("m1-max", settings, PROGRAM)
    return Memory(target(system, engine=engine), "soc.flash", "soc.dram", f"soc.{engine}", threads=32)


def pc(*settings: str) -> Memory:
    return Memory(target(under("rtx4090-gen4", settings, PROGRAM)), "host.flash", "host.dram", "host.cpu", threads=32)


def traffic(kept: Stored, keeping: Keeping = Keeping(window=5)) -> NeuronTraffic:  # noqa: B008
    found = settled(held(renewal(LAW, kept.model.layers, kept.neurons, 48), keeping), 40)
    assert found.held.shape[1] == len(CONTEXT)
    return found


def test_one_thing_after_another_adds_up() -> None:
    kept = opt()
    done = decode_sparse(m1(), kept, traffic(kept), CONTEXT)
    assert done.total == pytest.approx(done.io + done.memory + done.compute, rel=1e-12)


def test_reads_take_the_time_of_their_size() -> None:
    """arXiv 2312.11514, Table 2: bundles of 16 KiB at 2.25 GB/s, rows of 8 KiB at 1.25 GB/s."""
    for bundle, rate in ((2, 2.25e9), (1, 1.25e9)):
        kept = replace(opt(), reads_per_neuron=2 / bundle)
        done = decode_sparse(m1(), kept, traffic(kept), CONTEXT)
        assert done.asked / done.io == pytest.approx(np.full(8, rate), rel=1e-3)
        assert done.asked == pytest.approx(done.missed * kept.ffn_bytes)


def test_copies_take_the_time_of_their_bytes() -> None:
    kept = opt()
    found = traffic(kept)
    done = decode_sparse(m1(), kept, found, CONTEXT)
    bandwidth = under("m1-max", (), PROGRAM).engines["soc.gpu"].reads["dram"].copy_bandwidth
    assert bandwidth
    moved = (found.missed + found.moved).sum(axis=0) * kept.neuron_bytes
    assert done.memory == pytest.approx(moved / bandwidth)


def test_a_page_cache_copies_once_more() -> None:
    kept = opt()
    found = traffic(kept)
    done = decode_sparse(m1("gpu", "devices.soc.tiers.flash.flash.page_cache=true"), kept, found, CONTEXT)
    bare = decode_sparse(m1(), kept, found, CONTEXT)
    ratio = (2 * found.missed + found.moved).sum(axis=0) / (found.missed + found.moved).sum(axis=0)
    assert done.memory == pytest.approx(bare.memory * ratio)


def test_new_neurons_are_copied_to_a_memory_of_the_engine() -> None:
    kept = opt("bf16")
    found = traffic(kept)
    done = decode_sparse(pc(), kept, found, CONTEXT)
    system = under("rtx4090-gen4", (), PROGRAM)
    link = system.links["host.dram->gpu.vram"]
    fresh = found.missed.sum(axis=0) * kept.neuron_bytes
    copied = fresh / (0.8 * link.bandwidth) + kept.model.layers * link.latency
    assert np.all(done.memory > copied)
    fast = decode_sparse(pc("devices.host.engines.cpu.reads.dram.copy_bandwidth=100 TB/s"), kept, found, CONTEXT)
    bus = 2 * (found.missed + found.moved).sum(axis=0) * kept.neuron_bytes / system.tiers["host.dram"].bandwidth
    assert fast.memory == pytest.approx(copied + bus, rel=1e-6), "the bus of DRAM reads and writes each byte"


@pytest.mark.parametrize("memory", [m1("cpu"), m1(), pc()], ids=["cpu", "gpu", "pc"])
def test_overlap_never_takes_longer_nor_less_than_its_longest_part(memory: Memory) -> None:
    kept = opt("bf16" if memory.flash == "host.flash" else "fp16")
    found = traffic(kept)
    modes: tuple[Overlap, ...] = ("none", "layer", "prefetch")
    none, layer, ahead = (decode_sparse(memory, kept, found, CONTEXT, overlap=mode) for mode in modes)
    assert np.all(layer.total <= none.total * (1 + 1e-9))
    assert np.all(ahead.total <= layer.total * (1 + 1e-9))
    assert np.all(ahead.total >= np.maximum(ahead.io, ahead.compute) * (1 - 1e-3))
    if memory.manager == memory.target.name:
        prepared = kept.model.layers * memory.target.description.shape_overhead  # by the host: the engine is free
        assert np.all(ahead.total >= (ahead.memory + ahead.compute - prepared) * (1 - 1e-3)), "one engine does both"
    assert np.all(ahead.total < none.total)
    assert ahead.demand.keys() >= {r for r in none.demand if r.name in memory.system.tiers}


def test_dram_holds_what_is_fixed_and_the_buffers() -> None:
    kept = opt()
    found = traffic(kept)
    done = decode_sparse(m1(), kept, found, CONTEXT)
    assert done.dram == pytest.approx(kept.fixed_bytes + found.held.sum(axis=0) * kept.neuron_bytes)
    passing = traffic(kept, Keeping("none"))
    shared = decode_sparse(m1(), kept, passing, CONTEXT, shared=True)
    assert shared.dram == pytest.approx(kept.fixed_bytes + passing.held.max(axis=0) * kept.neuron_bytes)


def test_pinned_neurons_are_in_the_dram_of_each_layer() -> None:
    kept = opt()
    done = decode_sparse(m1(), kept, traffic(kept, Keeping("none", pinned=8192)), CONTEXT, shared=True)
    assert np.all(done.dram >= kept.fixed_bytes + kept.ffn_bytes / 2)
    assert np.all(done.held > 0.5)


def test_a_buffer_that_dram_cannot_hold_is_refused() -> None:
    kept = opt()
    with pytest.raises(CapacityError, match=r"opt-6.7b in soc\.dram"):
        decode_sparse(m1("gpu", "devices.soc.tiers.dram.capacity=1 GB"), kept, traffic(kept), CONTEXT)


def test_the_memory_of_the_engine_must_hold_the_weights_and_the_cache() -> None:
    kept = opt("bf16")
    with pytest.raises(CapacityError, match=r"opt-6.7b in gpu\.vram"):
        decode_sparse(pc("devices.gpu.tiers.vram.capacity=1 GB"), kept, traffic(kept), CONTEXT)
    with pytest.raises(CapacityError, match=r"opt-6.7b in soc\.dram"):
        decode_dense(m1("gpu", "devices.soc.tiers.dram.capacity=1 GB"), kept, kept, CONTEXT, 1.0)


def test_shapes_are_prepared_once_a_sparse_layer_with_a_predictor_or_without() -> None:
    kept = opt()
    bare = replace(kept, ranks=np.zeros(kept.model.layers))
    overhead = under("m1-max", (), PROGRAM).engines["soc.gpu"].shape_overhead
    none = "devices.soc.engines.gpu.shape_overhead=0 s"
    for each in (kept, bare):
        found = traffic(each)
        with_, without = (decode_sparse(m1("gpu", *setting), each, found, CONTEXT) for setting in ((), (none,)))
        assert with_.compute - without.compute == pytest.approx(np.full(8, each.model.layers * overhead))
    dense = decode_dense(m1(), kept, kept, CONTEXT, 1.0)
    assert np.all(dense.compute < kept.model.layers * overhead)


def test_dense_decoding_reads_all_at_the_sequential_rate() -> None:
    kept = opt()
    for resident in (0.0, 0.5, 1.0):
        done = decode_dense(m1(), kept, kept, CONTEXT, resident)
        assert done.asked == pytest.approx((1 - resident) * kept.token_bytes)
        assert done.io == pytest.approx(done.asked / 6.1e9)
        assert done.dram == pytest.approx(resident * weight_bytes(kept.model))
        assert done.total == pytest.approx(done.io + done.compute)


def test_dense_decoding_streams_to_the_memory_of_the_engine() -> None:
    kept = opt("bf16")
    done = decode_dense(pc(), kept, kept, CONTEXT, 0.0)
    there = {resource.name: units for resource, units in done.demand.items()}
    assert there["host.dram->gpu.vram"] == pytest.approx(8 * kept.token_bytes, rel=1e-2)
    assert done.io == pytest.approx(kept.token_bytes / 7.45e9, rel=1e-3)


def test_the_bytes_of_flash_are_those_that_were_read() -> None:
    kept = opt()
    done = decode_sparse(m1(), kept, traffic(kept), CONTEXT)
    demand = {resource.name: units for resource, units in done.demand.items()}
    assert demand["soc.flash"] == pytest.approx(done.read.sum())
    assert np.all(done.read >= done.asked)


def test_a_longer_window_reads_less_and_holds_more() -> None:
    kept = opt()
    done = [decode_sparse(m1(), kept, traffic(kept, Keeping(window=k)), CONTEXT) for k in (1, 3, 5, 10)]
    assert all(np.all(b.io <= a.io) and np.all(b.dram >= a.dram) for a, b in pairwise(done))


def test_drafted_tokens_are_verified_together() -> None:
    kept = opt()
    found = traffic(kept)
    one, five = (decode_sparse(m1("cpu"), kept, found, CONTEXT, drafted=drafted) for drafted in (0, 4))
    assert five.io == pytest.approx(one.io)
    assert np.all(five.compute < 5 * one.compute)
    assert np.all(five.compute >= one.compute)


def test_what_cannot_run_is_refused() -> None:
    kept = opt()
    with pytest.raises(ConfigError, match=r"manager: found 'soc\.npu', expected one of soc\.cpu, soc\.gpu"):
        decode_sparse(replace(m1(), manager="soc.npu"), kept, traffic(kept), CONTEXT)
    sn40l = load_system("sn40l")
    dataflow = Memory(target(sn40l), "soc.flash", "socket.hbm", "socket.rdu")
    with pytest.raises(ConfigError, match="found 'dataflow', expected an engine of kind gpu or cpu"):
        decode_sparse(dataflow, kept, traffic(kept), CONTEXT)
    mixed = stored(load_model("opt-6.7b").model_copy(update={"name": "odd"}))
    other = mixed.model.attention.model_copy(update={"window": 64, "window_pattern": (True, False)})
    odd = replace(
        mixed, model=type(mixed.model).model_validate(mixed.model.model_dump() | {"attention": other.model_dump()})
    )
    with pytest.raises(ConfigError, match="layers that are alike"):
        decode_sparse(m1(), odd, traffic(mixed), CONTEXT)
