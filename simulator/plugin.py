"""What a package that extends tiersim may rely on.

Name a module of yours in the entry-point group `tiersim.plugins`; it is imported when a name is looked up that tiersim
itself does not have. In it, decorate each implementation with `register(kind, name)`:

| kind        | contract (a Protocol here)                                       | chosen by                       |
|-------------|------------------------------------------------------------------|---------------------------------|
| `lowering`  | `Lowering`: a block of operators on an engine, as a `Plan`       | the `kind` of an engine         |
| `residency` | `Policy`: what leaves a full tier; made with the trace to come   | `policy:` of a service          |
"""

from __future__ import annotations

from simulator.core import Activity, Plan, Resource
from simulator.core.residency import Policy
from simulator.mapping.lowering import Lowering
from simulator.registry import register

__all__ = ["Activity", "Lowering", "Plan", "Policy", "Resource", "register"]
