"""What must be computed? Models, the operators of one forward pass, and which experts are asked for."""

from __future__ import annotations

from simulator.workload.batch import Batch, Cut, Ragged, Sequences, Shard, decode, prefill
from simulator.workload.model.form import Model
from simulator.workload.model.huggingface.reader import from_huggingface
from simulator.workload.model.load import load_model
from simulator.workload.model.parameters import (
    Parameters,
    kv_bytes,
    kv_bytes_per_layer,
    kv_bytes_per_token,
    parameters,
    weight_bytes,
)
from simulator.workload.operators.graph import (
    Block,
    OperatorGraph,
    Totals,
    expert_block,
    ffn_block,
    operator_graph,
    predictor_block,
)
from simulator.workload.operators.operator import Operator
from simulator.workload.routing.distinct import Routing
from simulator.workload.trace import GENERATORS, Trace, load_trace
from simulator.workload.training.step import training_graph

__all__ = [
    "GENERATORS",
    "Batch",
    "Block",
    "Cut",
    "Model",
    "Operator",
    "OperatorGraph",
    "Parameters",
    "Ragged",
    "Routing",
    "Sequences",
    "Shard",
    "Totals",
    "Trace",
    "decode",
    "expert_block",
    "ffn_block",
    "from_huggingface",
    "kv_bytes",
    "kv_bytes_per_layer",
    "kv_bytes_per_token",
    "load_model",
    "load_trace",
    "operator_graph",
    "parameters",
    "predictor_block",
    "prefill",
    "training_graph",
    "weight_bytes",
]
