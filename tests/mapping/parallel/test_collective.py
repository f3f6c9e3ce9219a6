from __future__ import annotations

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core import Plan, closed_form
from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.mapping.parallel.collective import Kind, all_reduce, collective

KINDS: tuple[Kind, ...] = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
ALGORITHMS = ("direct", "ring", "tree")
LATENCY, BANDWIDTH = 2e-6, 1e11
MACHINE = f"""
nodes: {{nodes}}
devices:
  chip:
    count: {{count}}
    tiers: {{{{hbm: {{{{kind: hbm, capacity: 16 GB, bandwidth: 1 TB/s}}}}}}}}
    engines: {{{{core: {{{{kind: gpu, peak: {{{{bf16: 100 TFLOP/s}}}}, reads: {{{{hbm: {{{{}}}}}}}}}}}}}}}}
links:
  chip<->chip: {{{{bandwidth: {BANDWIDTH} B/s, latency: {LATENCY} s, algorithm: {{algorithm}}}}}}
  node<->node: {{{{bandwidth: {BANDWIDTH / 4} B/s, latency: 5 us, algorithm: {{algorithm}}}}}}
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("machines")

    def build(count: int, algorithm: str, nodes: int = 1) -> System:
        file = folder / f"{count}-{algorithm}-{nodes}.yaml"
        file.write_text(MACHINE.format(count=count, algorithm=algorithm, nodes=nodes))
        return load_system(file)

    return build


def seconds(system: System, size: float, kind: Kind) -> float:
    plan = Plan()
    for activity in collective(system, "chip", size, kind):
        plan.add(activity)
    return float(closed_form(plan).time)


def delivered(members: int, phases: list[list[tuple[int, int, set[int]]]]) -> list[set[int]]:
    """What each member has of all shards, once it has been sent what each phase names: (from, to, shards)."""
    has = [{i} for i in range(members)]
    for phase in phases:
        before = [set(held) for held in has]
        for source, target, shards in phase:
            assert shards <= before[source]
            has[target] |= shards
    return has


def bruck(n: int) -> list[list[tuple[int, int, set[int]]]]:
    """All-gather in which member i asks the one `2^k` further on for what it lacks, as if all that has that many."""
    phases, held = [], 1
    while held < n:
        more = min(held, n - held)
        phases.append([((i + held) % n, i, {(i + held + j) % n for j in range(more)}) for i in range(n)])
        held += more
    return phases


def ring(n: int) -> list[list[tuple[int, int, set[int]]]]:
    return [[(i, (i + 1) % n, {(i - k) % n}) for i in range(n)] for k in range(n - 1)]


@pytest.mark.parametrize("n", range(2, 18))
@pytest.mark.parametrize(("algorithm", "schedule"), [("ring", ring), ("tree", bruck)])
def test_an_all_gather_costs_what_a_schedule_that_delivers_everything_does(machine, n, algorithm, schedule) -> None:
    phases = schedule(n)
    assert all(held == set(range(n)) for held in delivered(n, phases))
    sent = sum(len(shards) for phase in phases for source, _, shards in phase if source == 0)
    (activity,) = collective(machine(n, algorithm), "chip", 1e6, "all_gather")
    assert list(activity.demand.values()) == pytest.approx([sent / n * 1e6])
    assert activity.latency == pytest.approx(len(phases) * LATENCY)


@pytest.mark.parametrize("n", range(2, 18))
def test_an_all_to_all_by_tree_costs_what_its_schedule_does(machine, n: int) -> None:
    at = {(source, target): source for source in range(n) for target in range(n)}  # where each block is
    sent, phases, step = 0, 0, 1
    while step < n:
        moved = [block for block, here in at.items() if ((block[1] - block[0]) % n) & step]
        sent += sum(at[block] == 0 for block in moved)
        for block in moved:
            at[block] = (at[block] + step) % n
        step, phases = step * 2, phases + 1
    assert all(here == target for (_, target), here in at.items())
    (activity,) = collective(machine(n, "tree"), "chip", 1e6, "all_to_all")
    assert list(activity.demand.values()) == pytest.approx([sent / n * 1e6])
    assert activity.latency == pytest.approx(phases * LATENCY)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("nodes", [1, 3])
def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather(machine, algorithm: str, nodes: int) -> None:
    system = machine(6, algorithm, nodes)
    parts = seconds(system, 3e6, "reduce_scatter") + seconds(system, 3e6, "all_gather")
    assert seconds(system, 3e6, "all_reduce") == pytest.approx(parts)


@given(
    count=st.integers(2, 33), size=st.floats(1, 1e9), kind=st.sampled_from(KINDS), algorithm=st.sampled_from(ALGORITHMS)
)
def test_none_is_faster_than_its_bytes_and_its_spread(machine, count, size, kind, algorithm) -> None:
    """Each member must let go of all but its own share; and what one has reaches all in `log2 n` phases at least.

    Only `direct`, where a member speaks to all others at once, is bound by one phase instead.
    """
    time = seconds(machine(count, algorithm), size, kind)
    passes = 2 if kind == "all_reduce" else 1
    phases = 1 if algorithm == "direct" else log2(count)
    assert time >= passes * (phases * LATENCY + (count - 1) / count * size / BANDWIDTH) * (1 - 1e-9)
    assert time >= seconds(machine(count, "direct"), size, kind) * (1 - 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_ring_pays_latency_and_a_tree_less_of_it(machine, kind: Kind) -> None:
    small = {name: seconds(machine(16, name), 8.0, kind) for name in ALGORITHMS}
    assert small["direct"] < small["tree"] < small["ring"]
    large = {name: seconds(machine(16, name), 1e11, kind) for name in ALGORITHMS}
    assert large["ring"] == pytest.approx(large["direct"], rel=1e-3)
    assert (large["tree"] > 2 * large["ring"]) == (kind == "all_to_all")  # Bruck's sends blocks on and on


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_all_algorithms_are_the_same(machine, kind: Kind) -> None:
    assert len({seconds(machine(2, name), 1e6, kind) for name in ALGORITHMS}) == 1


def test_what_leaves_a_node_shares_its_link(machine) -> None:
    """A node of 4 keeps a third of what it has, of any collective over 3 nodes; of an all-to-all it has 4 devices'."""
    system = machine(4, "direct", 3)
    link = system["node->node"]
    _, gathered = collective(system, "chip", 1e6, "all_gather")
    _, exchanged = collective(system, "chip", 1e6, "all_to_all")
    assert gathered.demand[link] == pytest.approx(2 / 3 * 1e6)
    assert exchanged.demand[link] == pytest.approx(4 * 2 / 3 * 1e6)


def test_the_algorithm_is_a_figure_of_the_link() -> None:
    plain, ringed = load_system("dgx-a100"), load_system("dgx-a100", ["links.gpu<->gpu.algorithm=ring"])
    (direct,), (ring) = all_reduce(plain, "gpu", 8e6), all_reduce(ringed, "gpu", 8e6)
    assert ring[0].latency == pytest.approx(7 * direct.latency)
    assert list(ring[0].demand.values()) == list(direct.demand.values())
    with pytest.raises(ConfigError, match=r"gpu<->gpu\.algorithm.*'rings'"):
        load_system("dgx-a100", ["links.gpu<->gpu.algorithm=rings"])
    with pytest.raises(ConfigError, match="socket<->socket"):
        collective(load_system("sn40l").with_devices(2), "socket", 1.0, "all_to_all")
