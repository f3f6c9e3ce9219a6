"""tiersim: a simulator and design-space explorer for AI accelerators whose problem is memory.

The names below are the public surface: whatever the command `tiersim` does, a script can do with them. Each is imported
when it is first used, so that `import simulator` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.baselines.fit import fit
    from simulator.baselines.simulate import simulate
    from simulator.explore.cost import cost
    from simulator.explore.sweep.answers.crossed import crossover
    from simulator.explore.sweep.answers.optimised import optimise
    from simulator.explore.sweep.answers.searched import search
    from simulator.explore.sweep.answers.sensed import sensitivity
    from simulator.explore.sweep.query import query
    from simulator.explore.sweep.swept import sweep
    from simulator.hardware.system import load_system
    from simulator.report.reproduce import reproduce
    from simulator.scenario.evaluate import estimate, evaluate
    from simulator.scenario.kernels import kernels
    from simulator.scenario.roofline import roofline
    from simulator.workload.load import load_model
    from simulator.workload.neuron_files import load_neurons
    from simulator.workload.record import record_model as record
    from simulator.workload.trace import load_trace

__version__ = "0.1.0"

__all__ = [
    "cost",
    "crossover",
    "estimate",
    "evaluate",
    "fit",
    "kernels",
    "load_model",
    "load_neurons",
    "load_system",
    "load_trace",
    "optimise",
    "query",
    "record",
    "reproduce",
    "roofline",
    "search",
    "sensitivity",
    "simulate",
    "sweep",
]

_HOME = {
    "cost": "simulator.explore.cost",
    "crossover": "simulator.explore.sweep.answers.crossed",
    "estimate": "simulator.scenario.evaluate",
    "evaluate": "simulator.scenario.evaluate",
    "fit": "simulator.baselines.fit",
    "kernels": "simulator.scenario.kernels",
    "load_model": "simulator.workload.load",
    "load_neurons": "simulator.workload.neuron_files",
    "load_system": "simulator.hardware.system",
    "load_trace": "simulator.workload.trace",
    "optimise": "simulator.explore.sweep.answers.optimised",
    "query": "simulator.explore.sweep.query",
    "record": "simulator.workload.record:record_model",
    "reproduce": "simulator.report.reproduce",
    "roofline": "simulator.scenario.roofline",
    "search": "simulator.explore.sweep.answers.searched",
    "sensitivity": "simulator.explore.sweep.answers.sensed",
    "simulate": "simulator.baselines.simulate",
    "sweep": "simulator.explore.sweep.swept",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'simulator' has no attribute '{name}'")
    module, _, there = _HOME[name].partition(":")
    return getattr(import_module(module), there or name)


def __dir__() -> list[str]:
    return ["__version__", *__all__]
