"""What a package that extends tiersim may rely on.

Name a module of yours in the entry-point group `tiersim.plugins`; it is imported when a name is looked up that tiersim
itself does not have. In it, decorate each implementation with `register(kind, name)`; `docs/extend.md` has examples:

| kind        | contract (a Protocol here)                                       | chosen by                       |
|-------------|------------------------------------------------------------------|---------------------------------|
| `lowering`  | `Lowering`: a block of operators on an engine, as a `Plan`       | the `kind` of an engine         |
| `compile`   | `Compile`: what its lowering chooses once for many sizes         | the `kind` of an engine         |
| `tier`      | `TierKind`: what sets a kind of memory apart from others         | the `kind` of a tier            |
| `dispatch`  | `Dispatch`: which of several engines runs each step of a block   | `dispatch:` of a deployment     |
| `split`     | `Split`: how two engines share the experts of a device           | `split:` of a deployment        |
| `residency` | `Policy`: what leaves a full tier; made with the trace to come   | `policy:` of a service          |
| `rows`      | `Makes`: makes a `RowPolicy`, what leaves a buffer of neurons    | `policy:` of a sparse method    |
| `importer`  | `Importer`: brings a table of measured data into our form          | the columns of the table        |
| `requests`  | `RequestImporter`: brings recorded requests into our form          | the columns of the trace        |
| `scheduler` | `Scheduler`: what an iteration computes; made with its settings | `kind:` of a mapping's `scheduler`|
| `kv`        | `Store`: where keys and values lie; made with blocks and size   | `kind:` of a mapping's `kv_store` |
| `evaluator` | `Evaluator`: the metrics of a kind of workload                   | `kind:` of a workload           |
| `chart`     | `Chart`: a kind of picture of the results of a study             | `kind:` of a study's chart      |
| `search`    | `Method`: which points of a space to look at next                | `--method`; a study's `methods:`|
"""

from __future__ import annotations

from simulator.core import Activity, Plan, Resource
from simulator.core.closed_form import alone
from simulator.core.residency import Key, Policy
from simulator.core.row_policies import Makes, RowPolicy, Step
from simulator.hardware.tier_kind import TierKind
from simulator.mapping.dispatch import Choice, Route
from simulator.mapping.dispatch import Policy as Dispatch
from simulator.mapping.kernels.kernels import kernels_of
from simulator.mapping.lowering import Compile, Lowering, kernel_plan
from simulator.mapping.target import Target
from simulator.mapping.transfer import transfer
from simulator.mapping.two_engines.experts import Split
from simulator.registry import register
from simulator.report.shown import Chart, Shown
from simulator.scenario.cases import Columns
from simulator.scenario.evaluator import Evaluator, no_plan
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import deployment, machine, model
from simulator.serving.kv.blocks import Store
from simulator.serving.service.scheduler import Decision, Scheduler, View
from simulator.serving.service.sequence import Sequence
from simulator.study.form import ChartForm
from simulator.study.search import Method, Seen
from simulator.study.search.seen import Indices
from simulator.units import Bytes
from simulator.validation.measured.importers import Importer
from simulator.workload import Block
from simulator.workload.requests.importers import Columns as RequestColumns
from simulator.workload.requests.importers import Importer as RequestImporter
from simulator.workload.requests.recorded.cells import Cells

__all__ = [
    "Activity",
    "Block",
    "Bytes",
    "Cells",
    "Chart",
    "ChartForm",
    "Choice",
    "Columns",
    "Compile",
    "Decision",
    "Dispatch",
    "Evaluator",
    "Importer",
    "Indices",
    "Key",
    "Lowering",
    "Makes",
    "Method",
    "Metric",
    "Plan",
    "Policy",
    "RequestColumns",
    "RequestImporter",
    "Resource",
    "Route",
    "RowPolicy",
    "Scenario",
    "Scheduler",
    "Seen",
    "Sequence",
    "Shown",
    "Split",
    "Step",
    "Store",
    "Target",
    "TierKind",
    "View",
    "Workload",
    "alone",
    "deployment",
    "kernel_plan",
    "kernels_of",
    "machine",
    "model",
    "no_plan",
    "register",
    "transfer",
]
