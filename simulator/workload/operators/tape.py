"""Records operators as a forward pass runs: each call is one operator, and what flows between them an edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.core.resource import Quantity
from simulator.workload.batch import PhaseName
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT
from simulator.workload.formats.storage import storage
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT, Apart, Kind, Operand, Operator, Split

if TYPE_CHECKING:
    import networkx as nx

    from simulator.workload.model.form import Model


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """Activations that one operator hands to another: who made them (None: the block's input), and their bytes."""

    producer: str | None
    bytes: Quantity


class Tape:
    """The operators of one block. An operator's `input` is the sum of the tensors given to it, its edges the same.

    Attributes:
        graph: operator names, in the order of the pass, with `operator` and how many `weights` it reads; edges with
            `bytes`.
        entries: bytes of the block's input that each operator reads which starts from it.
        density: of the elements of a matrix, those that are not zero.
        cached: keys and values go through the KV cache; not so in training.
    """

    def __init__(self, model: Model, *, density: float = 1.0, cached: bool = True) -> None:
        import networkx as nx

        self.model, self.density, self.cached = model, density, cached
        self.graph: nx.DiGraph[str] = nx.DiGraph()
        self.entries: dict[str, Quantity] = {}
        self.prefix = ""
        self.stored = storage(model)
        self.bytes = BYTES_PER_ELEMENT[model.dtypes.activations]

    def record(
        self,
        name: str,
        kind: Kind,
        *inputs: Tensor,
        flops: Quantity,
        output: Quantity,
        operands: Mapping[Operand, Quantity] | None = None,
        weights: Quantity = 0.0,
        dtype: str | None = None,
        split: Split = "none",
        ways: int | None = None,
        phase: PhaseName | None = None,
        groups: Quantity | None = None,
        shape: Mapping[str, Any] | None = None,
        apart: Apart | None = None,
    ) -> Tensor:
        """One operator that reads `inputs` and `operands`, so many `weights` among them, and makes `output` bytes."""
        name = self.prefix + name
        read: Quantity = sum((tensor.bytes for tensor in inputs), start=0.0)
        operator = Operator(
            name=name,
            kind=kind,
            flops=flops,
            bytes={**(operands or {}), "input": read, "output": output},
            dtype=dtype or self.model.dtypes.activations,
            split=split,
            ways=ways,
            phase=phase,
            groups=groups,
            shape=shape or {},
            apart=apart,
        )
        assert name not in self.graph, f"two operators are called {name}"
        self.graph.add_node(name, operator=operator, weights=weights)
        for tensor in inputs:
            if tensor.producer is None:
                self.entries[name] = self.entries.get(name, 0.0) + tensor.bytes
            else:
                handed = self.graph.get_edge_data(tensor.producer, name, {"bytes": 0.0})["bytes"]
                self.graph.add_edge(tensor.producer, name, bytes=handed + tensor.bytes)
        return Tensor(name, output)

    def linear(
        self,
        name: str,
        *inputs: Tensor,
        rows: Quantity,
        n_in: Quantity,
        n_out: Quantity,
        bias: bool = False,
        matrices: Quantity = 1,
        tensor: str | None = None,
        operands: Mapping[Operand, Quantity] | None = None,
        operand: Operand = "weight",
        split: Split = "columns",
        ways: int | None = None,
        phase: PhaseName | None = None,
        groups: Quantity | None = None,
        apart: Apart | None = None,
    ) -> Tensor:
        """`rows` vectors times a matrix of `n_in` x `n_out`: 2 rows n_in n_out FLOPs, and one for each bias added.

        So many `matrices` are read where there is more than one (per head, per expert), as bytes of class `operand`.
        Of a sparse matrix, the elements that are not zero count, in FLOPs and in bytes; where they are takes no bytes.
        `tensor` names the matrix in a format's rules (`formats/format.py`), where that is not the operator's name.
        """
        matrix, size = self.stored.matrix(tensor or name), n_in * n_out * self.density
        stored = matrices * (size * matrix.element_bytes + bias * n_out * self.stored.vector_bytes)
        return self.record(
            name,
            "gemm",
            *inputs,
            flops=rows * (2 * size + bias * n_out * FLOPS_PER_ELEMENT["bias"]),
            output=rows * n_out * self.bytes,
            operands={operand: stored, **(operands or {})},
            weights=matrices * (size + bias * n_out),
            dtype=matrix.dtype,
            split=split,
            ways=ways,
            phase=phase,
            groups=groups,
            shape={
                "m": rows / np.maximum(matrices, 1.0),
                "n": n_out,
                "k": n_in,
                "count": matrices,
                "format": matrix.format,
            },
            apart=apart,
        )

    def norm(
        self, name: str, *x: Tensor, rows: Quantity, width: int, split: Split = "none", ways: int | None = None
    ) -> Tensor:
        """The model's norm over `rows` vectors of `width`, which may come in parts."""
        norm = self.model.norm
        return self.record(
            name,
            "norm",
            *x,
            flops=rows * width * (FLOPS_PER_ELEMENT[norm.kind] + norm.bias * FLOPS_PER_ELEMENT["bias"]),
            output=rows * width * self.bytes,
            operands={"weight": norm.vectors * width * self.stored.vector_bytes},
            weights=norm.vectors * width,
            split=split,
            ways=ways,
            shape={"m": rows, "n": width},
        )

    def elementwise(
        self,
        name: str,
        kind: Kind,
        function: str,
        *inputs: Tensor,
        split: Split = "none",
        ways: int | None = None,
        groups: Quantity | None = None,
    ) -> Tensor:
        """A function of one element each of `inputs` (equal shapes), such as an activation or a sum."""
        output = inputs[0].bytes
        flops = output / self.bytes * FLOPS_PER_ELEMENT[function]
        return self.record(name, kind, *inputs, flops=flops, output=output, split=split, ways=ways, groups=groups)

    def all_reduce(self, x: Tensor) -> Tensor:
        """Says that `x` is a partial sum on each device of a tensor-parallel group."""
        assert x.producer
        node = self.graph.nodes[x.producer]
        node["operator"] = replace(node["operator"], all_reduce=True)
        return x
