"""Why an estimate is what it is: each figure as an equation with its numbers, and where these come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

from simulator.config import Source
from simulator.core import Plan, Resource, closed_form
from simulator.core.account import Bound, Term, binding, breakdown, busy
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.hardware.machine import Launch
from simulator.mapping.dataflow.call import sram
from simulator.mapping.footprint.held import Held
from simulator.mapping.placement.layout import spans, where
from simulator.mapping.placement.placed import Placed
from simulator.mapping.placement.rule import LAYERED
from simulator.mapping.runtime.host_time import NAME as PROGRAM
from simulator.mapping.target import Target, computed_in, peak
from simulator.scenario.batch_detail import BatchDetail
from simulator.units import show
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT
from simulator.workload.formats.named import FORMATS


@dataclass(frozen=True)
class Line:
    """One equation, such as `13.2 GB / (0.81 x 8 x 2.039 TB/s) = 1 ms`, or one figure that equations use.

    The numbers in an equation, rounded to four digits, give its result; words in square brackets say what they are.

    Attributes:
        figure: what it explains: `ttft`, `tbt`, `e2e`, `throughput`, `energy`, `capacity`; `input` for a figure used.
        part: `total`: what the figure is made of; `resource`: how long a resource is busy, over all its copies;
            `kernel`: one activity, on one device; `input`: a figure of the machine or the model.
        name: the figure, the resource, the activity, or the key path of the input.
        equation: the equation, or the value of an input as its file has it.
        value: what it gives, in SI units; None for an input, and where the machine lacks a figure.
        times: how often it counts: a kernel runs so many times.
        bound_by: what takes most of the time of a kernel: a resource or `latency`.
        source, role: where an input comes from, and what it may be used for.
    """

    figure: str
    part: Literal["total", "resource", "kernel", "input"]
    name: str
    equation: str
    value: float | None = None
    times: int = 1
    bound_by: str | None = None
    source: str | None = None
    role: str | None = None


def explain(estimate: BatchDetail) -> list[Line]:
    """The equations of all figures of an estimate, then each input that they use, with its source.

    For plans whose activities run one after another, as those of an estimate do where all devices share each pass; of
    what is loaded while a kernel is launched, the time is taken off again.

    Raises:
        ConfigError: an estimate of pipeline stages, replicas or several engines, or with a draft.
    """
    deployed = estimate.deployment
    if estimate.batches > 1:
        raise ConfigError("explain", found=f"{estimate.batches} batches in turn", expected="one that fits")
    others = {
        f"{deployed.parallel.pipeline} stages": deployed.parallel.pipeline > 1,
        f"{deployed.parallel.data} replicas": deployed.parallel.data > 1,
        f"sequences shared by {deployed.parallel.context} (--context)": deployed.parallel.context > 1,
        "a draft": deployed.draft is not None,
        f"{len(deployed.engines)} engines": len(deployed.engines) > 1,
        "experts that devices share": deployed.shares_experts,
    }
    if found := [name for name, applies in others.items() if applies]:
        expected = "tensor parallelism alone and no draft: equations of other estimates are not written yet"
        raise ConfigError("explain", found=", ".join(found), expected=expected)
    return [
        *(line for figure, _, plan in _passes(estimate) for line in _pass(estimate, figure, plan)),
        *_run(estimate),
        *_energy(estimate),
        *(placement_lines(estimate) if estimate.footprint.placed else _capacity(estimate)),
        *_inputs(estimate),
    ]


def _passes(estimate: BatchDetail) -> list[tuple[str, str, Plan]]:
    """Figures, and the passes that give them, as far as the phase has them."""
    named = {"ttft": "prefill", "tbt": "decode"}
    return [(figure, name, estimate.parts[name].plan) for figure, name in named.items() if name in estimate.parts]


def _pass(estimate: BatchDetail, figure: str, plan: Plan) -> Iterator[Line]:
    """One pass: what it is bound by, each resource, each kernel."""
    bound = sorted(((float(time), name) for name, time in binding(plan).items()), key=itemgetter(0), reverse=True)
    seconds = float(closed_form(plan).time)
    parts = " + ".join(f"{show(time, 's')} [{name}]" for time, name in bound if time > 0)
    hidden = sum(time for time, _ in bound) - seconds
    if hidden > 1e-9 * seconds:
        parts += f" - {show(hidden, 's')} [at the same time]"
    yield Line(figure, "total", figure.upper(), f"{parts} = {show(seconds, 's')}", seconds)
    demand = plan.demand()
    at_work = ((resource, float(time)) for resource, time in busy(plan).items())
    for resource, time in sorted(at_work, key=itemgetter(1), reverse=True):
        if time > 0:
            equation = _quotient(estimate, resource, float(demand[resource]), time, resource.count)
            yield Line(figure, "resource", resource.name, f"{equation} = {show(time, 's')}", time)
    yield from _kernels(estimate, figure, breakdown(plan))


def _kernels(estimate: BatchDetail, figure: str, parts: list[Bound]) -> Iterator[Line]:
    """Each activity once: those that are alike, such as the reductions of a layer, are counted together."""
    lines: dict[tuple[str, str], Line] = {}
    for part in parts:
        latency, terms = float(part.activity.latency), []
        if part.bound_by and part.time > latency:
            demand = float(part.activity.demand[part.bound_by])
            terms.append(_quotient(estimate, part.bound_by, demand, part.time - latency))
        if latency or not terms:
            terms.append(show(latency, "s"))
        equation = f"{' + '.join(terms)} = {show(part.time, 's')}"
        key = (part.activity.name, equation)
        times = part.times + (lines[key].times if key in lines else 0)
        lines[key] = Line(figure, "kernel", part.activity.name, equation, part.time, times, part.longest)
    yield from lines.values()


def _quotient(estimate: BatchDetail, resource: Resource, demand: float, seconds: float, count: int = 1) -> str:
    """`13.2 GB / (0.81 x 8 x 2.039 TB/s)`: what is demanded of all copies, over what they achieve.

    A limit inside an engine is that of each copy: its seconds at full rate, `20 us [full rate] / 0.9`.
    """
    system = estimate.engine.system
    rate = float(resource.capacity)
    unit, what = resource.unit, ""
    if not _is_of(system, resource):
        achieved = demand / seconds
        return f"{show(demand, 's')} [full rate]" + (f" / {achieved:.4g}" if abs(achieved - 1) > 1e-9 else "")
    if resource.name in system.engines:  # engine-seconds, as FLOPs of the format that the products compute in
        dtype = estimate.model.dtypes.products
        named = computed_in(system.engines[resource.name].peak, dtype) or dtype
        rate, unit, what = peak(system, resource.name, dtype), "FLOP", f" [{named}]"
        demand *= rate
    achieved = demand / (rate * seconds)
    factors = [f"{achieved:.4g}"] * (abs(achieved - 1) > 1e-9) + [str(count)] * (count > 1) + [show(rate, f"{unit}/s")]
    below = f"({' x '.join(factors)})" if len(factors) > 1 else factors[0]
    return f"{show(demand * count, unit)}{what} / {below}"


def _is_of(system: System, resource: Resource) -> bool:
    """Whether a resource is one of the machine; else it is a limit inside an engine, or the program on the host."""
    return any(resource.name == each.name for each in system.resources)


def _part(resource: Resource) -> str:
    """The part of the machine that a resource is of: of a private limit, `socket.rdu (pipeline)`, the engine."""
    return resource.name.partition(" (")[0]


def _run(estimate: BatchDetail) -> Iterator[Line]:
    if estimate.work.phase != "request":
        seconds, rate = estimate.seconds, estimate.tokens_per_s
        equation = f"{estimate.batch} / {show(seconds, 's')} = {show(rate, 'tok/s')}"
        yield Line("throughput", "total", "throughput", equation, rate)
        return
    e2e, steps = estimate.e2e_s, estimate.output - 1
    equation = show(estimate.ttft_s, "s")
    if steps:
        equation += f" + {steps} x {show((e2e - estimate.ttft_s) / steps, 's')} [mean over the steps]"
    yield Line("e2e", "total", "E2E", f"{equation} = {show(e2e, 's')}", e2e)
    rate = estimate.tokens_per_s
    equation = f"{estimate.batch} x {estimate.output} / {show(e2e, 's')} = {show(rate, 'tok/s')}"
    yield Line("throughput", "total", "throughput", equation, rate)


def _energy(estimate: BatchDetail) -> Iterator[Line]:
    """Demand times energy a unit, over the whole run; power times time; what is missing."""
    lines = [_term(estimate, term) for term in estimate.energy if term.each is not None]
    parts = " + ".join(f"{show(line.value or 0.0, 'J')} [{line.name}]" for line in lines)
    total = f"{parts} = {show(estimate.energy_j, 'J')}" if estimate.energy_j is not None else "not known"
    yield Line("energy", "total", "energy", total, estimate.energy_j)
    yield from lines
    yield from (Line("energy", "resource", key, "not given") for key in estimate.missing)


def _term(estimate: BatchDetail, term: Term) -> Line:
    """One term of the energy as an equation."""
    system = estimate.engine.system
    each, amount, joules = (float(figure or 0.0) for figure in (term.each, term.amount, term.joules))
    if term.name not in [resource.name for resource in system.resources]:  # static power
        product = f"{term.count} x {show(each, 'W')} x {show(amount, 's')}"
    elif term.name in system.engines:  # as FLOPs of the format that its energy is given for
        dtype, rate = next(iter(system.engines[term.name].peak.items()))
        product = f"{show(amount * term.count * rate, 'FLOP')} [as {dtype}] x {show(each / rate, 'J/FLOP')}"
    else:
        product = f"{show(amount * term.count, 'B')} x {show(each, 'J/B')}"
    return Line("energy", "resource", term.name, f"{product} = {show(joules, 'J')}", joules)


def placement_lines(estimate: BatchDetail) -> Iterator[Line]:
    """What lies in which tier and how it is used, what crosses which link, and what runs beside it."""
    placed = estimate.footprint.placed
    assert placed
    for tier, held in estimate.footprint.tiers.items():
        yield _filled(tier, held, "keys and values")
    for phase, part, layers, shares in where(placed.layout):
        sizes = placed.layout.bytes_of(part, layers)
        lies = ", ".join(
            f"{show(sizes * share, 'B')} in {spot.tier}, {spot.manner}" for spot, share in shares if sizes * share > 0
        )
        if lies:
            named = f" of layers {spans(layers)}" if part in LAYERED else ""
            yield Line("placement", "total", f"{part}{named}", lies + (f" [{phase}]" if phase else ""))
    if placed.layout.cached:
        yield from _cache_lines(placed, estimate)
    system = estimate.engine.system
    for figure, name, plan in _passes(estimate):
        took, demand = float(closed_form(plan).time), plan.demand()
        for resource, seconds in busy(plan).items():
            if resource.name in system.links and float(seconds) > 0:
                size, share = show(float(demand[resource]) * resource.count, "B"), float(seconds) / took
                beside = f"busy for {show(float(seconds), 's')} of {show(took, 's')}, {share:.0%}"
                yield Line("placement", "total", resource.name, f"{size} [{name}], {beside} [of {figure.upper()}]")


def _cache_lines(placed: Placed, estimate: BatchDetail) -> Iterator[Line]:
    """What a cache of experts has of those that are chosen, and what of them crosses the link."""
    hits = placed.hits(estimate.batch, estimate.input, estimate.output)
    assert hits
    size = placed.layout.expert(next(iter(placed.layout.cached)))
    for prefill, passes, name in ((True, slice(0, 1), "prefill"), (False, slice(1, None), "a decode step")):
        needed, missed, late, ahead = (
            float(each[passes].sum() / len(each[passes])) for each in (hits.needed, hits.missed, hits.late, hits.ahead)
        )
        rate = hits.rate(prefill)
        equation = f"1 - {missed:.4g} [missed] / {needed:.4g} [chosen] = {rate:.4g} [{name}]"
        yield Line("placement", "total", "hit rate of the cache", equation, rate)
        copied = f"({late:.4g} + {ahead:.4g} [foretold]) x {show(size, 'B')} = {show((late + ahead) * size, 'B')}"
        yield Line("placement", "total", "copied to the cache", f"{copied} [{name}]", (late + ahead) * size)


def _capacity(estimate: BatchDetail) -> Iterator[Line]:
    target, main = estimate.engine, estimate.footprint.total
    tier, count = target.system.tiers[main.tier], target.system.count(main.tier)
    each = show(tier.capacity, "B")
    if tier.reserved:
        each = f"({each} - {show(tier.reserved, 'B')} [reserved])"
    yield _filled("needed", main, "keys and values")
    if estimate.footprint.spill:  # over two tiers, by a memory plan
        return
    equation = f"{count} x {each} = {show(main.capacity, 'B')}"
    yield Line("capacity", "total", main.tier, equation, main.capacity)
    tokens = estimate.batch + estimate.input
    weights, kv, activations = (float(size) for size in (main.weights, main.kv, main.activations))
    prompt = activations * estimate.input / tokens
    one = kv / estimate.batch + activations / tokens
    most = (main.capacity - weights - prompt) / one
    free = f"{show(main.capacity, 'B')} - {show(weights, 'B')} - {show(prompt, 'B')} [activations of a prompt]"
    room = f"({free}) / {show(one, 'B')} [a sequence] = {most:,.1f}"
    yield Line("capacity", "total", "largest batch", f"{room} [rounded down]", most)
    if estimate.max_context:
        full = estimate.footprint.at(estimate.batch, estimate.max_context).total
        yield _filled("largest context", full, f"{estimate.batch:,} x {estimate.max_context:,} tokens")


def _filled(name: str, placed: Held, what: str) -> Line:
    parts = (placed.weights, "weights"), (placed.kv, what), (placed.activations, "activations")
    equation, used = " + ".join(f"{show(float(size), 'B')} [{kind}]" for size, kind in parts), float(placed.used)
    return Line("capacity", "total", name, f"{equation} = {show(used, 'B')}", used)


_USED = {
    "tiers": ("bandwidth", "efficiency", "latency", "energy"),
    "engines": ("efficiency", "launch_overhead", "energy_per_flop"),
    "reads": ("bandwidth", "efficiency"),
    "links": ("bandwidth", "parallel", "latency", "efficiency", "energy"),
}
"""The figures of a part that an estimate uses, beside `peak` and `fabric`, by the section that the part stands in."""


def _inputs(estimate: BatchDetail) -> Iterator[Line]:
    """Each figure used, once; a default that nobody stated is not listed."""
    target, model = estimate.engine, estimate.model
    config, machine = target.system.config, target.system.machine
    engine, weights, products = target.description, model.dtypes.weights, model.dtypes.products
    formats = (model.dtypes.products, model.dtypes.activations)
    dtypes = dict.fromkeys(computed_in(engine.peak, dtype) for dtype in formats)
    paths: dict[tuple[str, ...], None] = {("nodes",): None, ("static_power",): None}
    paths |= {("devices", target.device, key): None for key in ("count", "static_power")}
    paths[(*target.system.key(estimate.footprint.total.tier), "capacity")] = None
    for resource in dict.fromkeys(each for *_, plan in _passes(estimate) for each in plan.demand()):
        if resource.name == PROGRAM:
            continue
        key = target.system.key(_part(resource))
        paths |= {(*key, "peak", dtype): None for dtype in dtypes if dtype}
        paths |= {(*key, figure): None for figure in _USED[key[-2]]}
    paths |= {path: None for path in _fabric(target)}
    for path in paths:
        value, source = _at(config.data, path), config.source(*path)
        if path == ("devices", target.device, "count") and machine.devices[target.device].count != (value or 1):
            value, source = target.ways // machine.nodes, Source("--devices", "input")
        if value is not None:
            yield _input(".".join(path), _written(value), source)
    software = estimate.deployment.software
    yield _input("runtime", software.name, Source(str(software.config.file), "assumption"))
    for name, each in target.models.used().items() if target.models else ():
        off = "error not known" if each.errors is None else f"{each.errors.median:.1%} off in the median"
        role = "calibration" if each.errors else "assumption"
        yield _input(f"kernels of {name}", off, Source(each.origin, role))
    weights_bytes = float(estimate.footprint.total.weights)
    yield _input(model.name, f"{show(weights_bytes, 'B')} of weights", Source(model.source, "input"))
    yield _input("weights", f"{weights}, products in {products}", Source(FORMATS[weights].source, "input"))
    rate = computed_in(engine.peak, products)
    if rate in BYTES_PER_ELEMENT and BYTES_PER_ELEMENT[rate] != BYTES_PER_ELEMENT[products]:
        widened = f"{products} at the rate of {rate}, to which it is widened: the engine has no rate for {products}"
        yield _input("products", widened, Source("mapping/target.py: computed_in", "assumption"))
    yield _input("KV cache", model.dtypes.kv, Source("the model's dtypes, --dtype or --kv", "input"))


def _fabric(target: Target) -> Iterator[tuple[str, ...]]:
    """The figures of the grid of a dataflow engine, and the capacity of its memory units."""
    fabric = target.description.fabric
    if fabric:
        engine = target.system.key(target.name)
        yield from ((*engine, "fabric", figure) for figure in type(fabric).model_fields if figure != "launch")
        yield from ((*engine, "fabric", "launch", fabric.orchestration, figure) for figure in Launch.model_fields)
        yield (*target.system.key(f"{target.device}.{sram(target)}"), "capacity")


def _input(name: str, value: str, source: Source | None) -> Line:
    text, role = (source.text, source.role) if source else ("", "assumption")
    return Line("input", "input", name, value, source=text, role=role)


def _at(data: Any, path: tuple[str, ...]) -> Any:
    """What a file says at a key path; None where it says nothing."""
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _written(value: Any) -> str:
    """An input as its file has it; a curve by its ends."""
    if isinstance(value, dict):
        sizes, fractions = value["sizes"], value["fractions"]
        return f"{fractions[0]} at {sizes[0]} to {fractions[-1]} at {sizes[-1]}"
    return str(value).lower() if isinstance(value, bool) else str(value)
