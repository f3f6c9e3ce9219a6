"""tiersim: a simulator and design-space explorer for AI accelerators whose problem is memory.

The names below are the public surface: whatever the command `tiersim` does, a script can do with them. Each is imported
when it is first used, so that `import simulator` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.hardware.system import load_system
    from simulator.report.accuracy import accuracy
    from simulator.report.compare import write_comparison
    from simulator.report.reproduce import reproduce
    from simulator.scenario.evaluate import estimate, evaluate
    from simulator.scenario.kernels import kernels
    from simulator.scenario.operator import operator
    from simulator.scenario.requests.serve import serve
    from simulator.scenario.roofline import roofline
    from simulator.study.capacity.capacity import capacity
    from simulator.study.cost import cost
    from simulator.study.query import query
    from simulator.study.questions.crossed import crossover
    from simulator.study.questions.optimised import optimise
    from simulator.study.questions.searched import search
    from simulator.study.questions.sensed import sensitivity
    from simulator.study.swept import sweep
    from simulator.validation.calibration.calibrate import calibrate
    from simulator.validation.compare import compare
    from simulator.validation.fit import fit
    from simulator.validation.fitted.check import check_machine
    from simulator.validation.fitted.fit_machine import fit_machine
    from simulator.validation.measure.measure import measure
    from simulator.validation.simulate import simulate
    from simulator.workload.model.imported import import_model
    from simulator.workload.model.load import load_model
    from simulator.workload.neurons.files import load_neurons
    from simulator.workload.neurons.record import record_model as record
    from simulator.workload.requests.load import load_requests
    from simulator.workload.requests.write import write_requests
    from simulator.workload.trace import load_trace

__version__ = "0.1.0"

__all__ = [
    "accuracy",
    "calibrate",
    "capacity",
    "check_machine",
    "compare",
    "cost",
    "crossover",
    "estimate",
    "evaluate",
    "fit",
    "fit_machine",
    "import_model",
    "kernels",
    "load_model",
    "load_neurons",
    "load_requests",
    "load_system",
    "load_trace",
    "measure",
    "operator",
    "optimise",
    "query",
    "record",
    "reproduce",
    "roofline",
    "search",
    "sensitivity",
    "serve",
    "simulate",
    "sweep",
    "write_comparison",
    "write_requests",
]

_HOME = {
    "accuracy": "simulator.report.accuracy",
    "check_machine": "simulator.validation.fitted.check",
    "calibrate": "simulator.validation.calibration.calibrate",
    "capacity": "simulator.study.capacity.capacity",
    "compare": "simulator.validation.compare",
    "cost": "simulator.study.cost",
    "crossover": "simulator.study.questions.crossed",
    "estimate": "simulator.scenario.evaluate",
    "evaluate": "simulator.scenario.evaluate",
    "fit": "simulator.validation.fit",
    "fit_machine": "simulator.validation.fitted.fit_machine",
    "import_model": "simulator.workload.model.imported",
    "kernels": "simulator.scenario.kernels",
    "load_model": "simulator.workload.model.load",
    "load_neurons": "simulator.workload.neurons.files",
    "load_requests": "simulator.workload.requests.load",
    "load_system": "simulator.hardware.system",
    "load_trace": "simulator.workload.trace",
    "measure": "simulator.validation.measure.measure",
    "operator": "simulator.scenario.operator",
    "optimise": "simulator.study.questions.optimised",
    "query": "simulator.study.query",
    "record": "simulator.workload.neurons.record:record_model",
    "reproduce": "simulator.report.reproduce",
    "roofline": "simulator.scenario.roofline",
    "search": "simulator.study.questions.searched",
    "sensitivity": "simulator.study.questions.sensed",
    "serve": "simulator.scenario.requests.serve",
    "simulate": "simulator.validation.simulate",
    "sweep": "simulator.study.swept",
    "write_comparison": "simulator.report.compare",
    "write_requests": "simulator.workload.requests.write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'simulator' has no attribute '{name}'")
    module, _, attribute = _HOME[name].partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    return ["__version__", *__all__]
