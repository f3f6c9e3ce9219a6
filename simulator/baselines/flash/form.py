"""The form of a `flash` experiment's YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from simulator.baselines.experiment import Experiment
from simulator.config.choose import choose, registered_as
from simulator.config.section import Section
from simulator.errors import ConfigError, nearest, one_of
from simulator.serving.sparse import Overlap
from simulator.units import Bytes, Count, EnergyPerByte, Fraction, Seed, Size, Unit, Width
from simulator.workload.dtypes import Dtype
from simulator.workload.window_law import WindowLaw

Portion: TypeAlias = Annotated[float, Unit("1"), Field(ge=0, le=1)]


class Law(Section):
    """The window law through two values: the share of neurons that `window` tokens use, and what one more adds."""

    kind: Literal["law"]
    window: Count
    share: Fraction
    increment: Fraction

    def fitted(self) -> WindowLaw:
        """The law through both numbers."""
        return WindowLaw.fitted(self.window, self.share, self.increment)


class TwoPopulations(Section):
    """Hot neurons, a share of all, and cold ones; each is active with its own rate, independently."""

    kind: Literal["hot_cold"]
    hot: Fraction
    hot_rate: Fraction
    cold_rate: Fraction


class Recorded(Section):
    """A file of recorded activations (`workload/neuron_files.py`)."""

    kind: Literal["file"]
    file: str


Activity: TypeAlias = Annotated[Law | TwoPopulations | Recorded, Field(discriminator="kind")]


class Errors(Section):
    """How often a predictor misses an active neuron, and names an inactive one."""

    false_negatives: Portion = 0.0
    false_positives: Portion = 0.0


class SparseModel(Section):
    """A model, which of its neurons are active, and how they are kept.

    `activity` is what a predictor names; with its `errors`, what is truly active, of which it names what it does.
    `share_by_layer` weighs the share of active neurons of each layer, spread over the layers from the first to the
    last. `ranks`: pairs of a predictor's rank and how many layers have it. `bundle`: rows that lie together where a
    method bundles; all of a neuron unless given. `scales`: bytes that the format keeps beside each weight.
    """

    model: str
    activity: Activity
    share_by_layer: Annotated[list[Fraction], Field(min_length=1)] | None = None
    window: Width = 0
    errors: Errors | None = None
    ranks: tuple[tuple[Width, Count], ...] = ()
    bundle: Count | None = None
    scales: Size = 0.0


class Machine(Section):
    """Where it runs: an engine, the tiers by their full names, who moves rows in DRAM, and in which format.

    `dense_dtype`: that of the file where whole matrices are read.
    """

    hardware: str
    device: str | None = None
    engine: str | None = None
    flash: str
    dram: str
    manager: str
    dtype: Dtype
    dense_dtype: Dtype | None = None
    threads: Count | None = None
    packed: bool = False
    set: tuple[str, ...] = ()


class Dense(Section):
    """All weights are read for each token but for a resident share."""

    kind: Literal["dense"]
    resident: Portion = 0.0


class Sparse(Section):
    """Active neurons are read unless DRAM holds them.

    `window`: tokens; that of the model unless given. `room`: for so large a share of the neurons; `budget`: or for
    what is left of so large a share of the model; `memory`: or of so many bytes. `pinned`: a share of all neurons that
    never leave. `split`: in how many reads a neuron comes, whatever lies together. `gathered`: the FFN runs over active
    neurons alone.
    """

    kind: Literal["sparse"]
    policy: Annotated[str, registered_as("rows")] = "window"
    window: Width | None = None
    room: Fraction | None = None
    budget: Fraction | None = None
    memory: Bytes | None = None
    pinned: Portion = 0.0
    bundled: bool = True
    split: Count | None = None
    gathered: bool = False
    together: Literal["neuron", "friends"] = "neuron"
    overlap: Overlap = "none"
    drafted: Width = 0
    acceptance: Portion = 0.0


Method: TypeAlias = Annotated[Dense | Sparse, Field(discriminator="kind")]


class Run(Section):
    """Every method on every model on every machine of the lists."""

    systems: Annotated[list[str], Field(min_length=1)]
    models: Annotated[list[str], Field(min_length=1)]
    methods: Annotated[list[str], Field(min_length=1)]

    def points(self) -> Iterator[tuple[str, str, str]]:
        return ((s, m, method) for s in self.systems for m in self.models for method in self.methods)


class Chunks(Section):
    """Throughput of random reads over their size and the threads that wait for them."""

    systems: Annotated[list[str], Field(min_length=1)]
    sizes: Annotated[list[Bytes], Field(min_length=1)]
    threads: Annotated[list[Count], Field(min_length=1)]


class Usage(Section):
    """The share of neurons used by k tokens: of the law, of a trace of so many tokens, of two populations."""

    models: Annotated[list[str], Field(min_length=1)]
    windows: Annotated[list[Count], Field(min_length=1)]
    tokens: Count


class Sweep(Section):
    """Methods on one machine and model over one quantity: windows in tokens, or budgets as shares of the model."""

    system: str
    model: str
    methods: Annotated[list[str], Field(min_length=1)]
    windows: tuple[Width, ...] = ()
    budgets: tuple[Fraction, ...] = ()


class Range(Section):
    """J a byte, lowest and highest, where sources disagree."""

    low: EnergyPerByte
    high: EnergyPerByte


class FlashExperiment(Experiment):
    """The YAML of a `flash` experiment: `tokens` are generated after a prompt of `prompt`, and `warm_up` before both.

    `set` holds overrides of its machines, each behind the name that a machine has here: `cpu.devices...=...`. `energy`
    is by machine (`any`: those that are not named) and kind of tier.
    """

    kind: Literal["flash"]
    prompt: Count
    tokens: Count
    warm_up: Count
    seed: Seed = 0
    models: Annotated[dict[str, SparseModel], Field(min_length=1)]
    systems: Annotated[dict[str, Machine], Field(min_length=1)]
    methods: Annotated[dict[str, Method], Field(min_length=1)]
    runs: Annotated[dict[str, Run], Field(min_length=1)]
    chunks: Chunks | None = None
    usage: Usage | None = None
    sweeps: Annotated[dict[str, Sweep], Field(default_factory=dict)]
    energy: Annotated[dict[str, dict[str, Range]], Field(default_factory=dict)]
    set: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_there(self) -> Self:
        for name, run in self.runs.items():
            _choose_each(self, run, "runs", name)
        for name, sweep in self.sweeps.items():
            choose(sweep.system, self.systems, "sweeps", name, "system")
            choose(sweep.model, self.models, "sweeps", name, "model")
            _choose_each(self, sweep, "sweeps", name)
        if self.chunks:
            _choose_each(self, self.chunks, "chunks")
        if self.usage:
            _choose_each(self, self.usage, "usage")
        return self

    def only(self, conditions: Sequence[Mapping[str, Any]]) -> FlashExperiment:
        """The same experiment with no more than what the conditions name; `tiersim fit` runs it often."""
        runs = {}
        for name, run in self.runs.items():
            named = [
                dict(zip(("system", "model", "method"), point, strict=True))
                for point in run.points()
                if any(
                    {"system": point[0], "model": point[1], "method": point[2]}.items() >= _place(c).items()
                    for c in conditions
                    if "method" in c
                )
            ]
            if named:
                lists = {f"{key}s": list(dict.fromkeys(point[key] for point in named)) for key in named[0]}
                runs[name] = Run(**lists)
        chunks = self.chunks if any("chunk" in condition for condition in conditions) else None
        usage = self.usage if any("window" in condition for condition in conditions) else None
        return self.model_copy(update={"runs": runs, "chunks": chunks, "usage": usage, "sweeps": {}})

    def settings(self, system: str) -> list[str]:
        """The overrides of one machine.

        Raises:
            ConfigError: one that begins with no machine's name.
        """
        for text in self.set:
            name = text.partition(".")[0]
            if name not in self.systems:
                close, expected = nearest(name, self.systems), f"{one_of(self.systems)}, and a path behind it"
                raise ConfigError(path="set", found=f"'{text}'", expected=expected, nearest=close)
        return [text.partition(".")[2] for text in self.set if text.startswith(f"{system}.")]


def _choose_each(experiment: FlashExperiment, part: Section, *at: str) -> None:
    """Check the lists of names that a part has, each of a table of the experiment."""
    for table in ("systems", "models", "methods"):
        for place, name in enumerate(getattr(part, table, ())):
            choose(name, getattr(experiment, table), *at, table, place)


def _place(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {key: condition[key] for key in ("system", "model", "method") if key in condition}
