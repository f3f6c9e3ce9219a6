"""The backward pass of a block: its graph differentiated in reverse, operator by operator.

An operator X that makes y of x with weights w becomes `X.dgrad`, the gradient of x, and `X.wgrad`, that of w. A sum
hands the gradient of its result on to both of its terms and becomes nothing; where several operators read a tensor, its
gradient is the sum of theirs, `X.sum`.

The order of the pass, the layers' identity and tensor parallelism carry over: a product divided by columns has a
gradient divided by rows, hence a partial sum on each device. It is reduced once for all products that read the same
tensor (Megatron-LM, arXiv 1909.08053, section 3: f and g are each other's gradient).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from simulator.core.resource import Quantity
from simulator.workload.model.form import Model
from simulator.workload.operators.graph import Block
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT, Operand, Operator, Split
from simulator.workload.operators.tape import Tape, Tensor
from simulator.workload.training.gradients import HANDED_ON, RULES, TURNED

Recompute: TypeAlias = Literal["none", "attention", "layer"]


def backward(model: Model, block: Block, recompute: Recompute = "none") -> tuple[Block, dict[str, Quantity]]:
    """The backward pass of a block as a block of its own, and the bytes that each of its operators must save for it.

    The block's input is the gradient of the forward block's output. What it needs of the forward pass was saved:
    the first operator that needs a tensor reads it as `saved_read` and hands it on to others that do. The forward
    block's own input is in memory anyway, as what the block before it made: it is read here, and need not be saved.

    With `recompute`, less is saved, and made again from what is: `attention`, scores and softmax (what FlashAttention,
    arXiv 2205.14135, does; "selective" in arXiv 2205.05198, section 5); `layer`, all of the block, which runs again
    first ("full" there; arXiv 1604.06174).
    """
    run = _Run(model, block, handed=False, recompute=recompute)
    if recompute == "layer":
        run.forward()
    made = run.operator(block.exit).bytes["output"]
    run.gradients[block.exit] = [_Gradient(Tensor(None, made), partial=False)]
    return run.differentiate(f"{block.name}.backward"), run.saved()


def with_backward(model: Model, block: Block) -> Block:
    """The forward and the backward pass of the last block as one: it ends in the loss, whose gradient is 1."""
    run = _Run(model, block, handed=True)
    run.forward()
    return run.differentiate(block.name)


class _Gradient(NamedTuple):
    """A part of the gradient of a tensor, as one of its readers gives it."""

    tensor: Tensor
    partial: bool  # a partial sum on each device of a tensor-parallel group


class _Input(NamedTuple):
    """What an operator of the forward block reads: who made it (None: the block's input), and the bytes read."""

    producer: str | None
    bytes: Quantity


class _Run:
    """One backward pass, as it is recorded.

    Attributes:
        handed: the forward block's input is also this block's; else it is read as saved.
        gradients: by who made a tensor, the parts of its gradient found so far.
        home: by who made it, the operator here that has a tensor of the forward pass.
        loaded: bytes of each such tensor that were read as saved.
    """

    def __init__(self, model: Model, block: Block, *, handed: bool, recompute: Recompute = "none") -> None:
        self.block, self.handed, self.recompute = block, handed, recompute
        self.tape = Tape(model)
        self.gradients: dict[str | None, list[_Gradient]] = defaultdict(list)
        self.home: dict[str | None, str] = {}
        self.loaded: dict[str | None, Quantity] = {}

    def operator(self, name: str) -> Operator:
        operator: Operator = self.block.graph.nodes[name]["operator"]
        return operator

    def saved(self) -> dict[str, Quantity]:
        """Bytes of what operators of the forward block made that were read as saved."""
        return {name: size for name, size in self.loaded.items() if name is not None}

    def forward(self) -> None:
        """Runs the forward block, so that what it makes is at hand."""
        for name in self.block.graph:
            self._run_forward(name)

    def differentiate(self, name: str) -> Block:
        """All gradients, last operator first; the block that they make."""
        for forward in reversed(list(self.block.graph)):
            operator, gradient = self.operator(forward), self._gradient(forward)
            self._dgrad(operator, gradient)
            if "weight" in operator.bytes or "expert" in operator.bytes:
                self._wgrad(operator, gradient)
        of_input = self._gradient(None)
        graph = self.tape.graph
        out = of_input[0].producer if of_input else next(reversed(list(graph)))
        assert out is not None and len(of_input) < 2
        return Block(name, self.block.repeat, graph, self.tape.entries, out, self.block.tokens)

    def _run_forward(self, name: str) -> None:
        operator = self.operator(name)
        kept = {key: size for key, size in operator.bytes.items() if key not in ("input", "output")}
        out = self._record(
            name, operator, [], self._inputs(name), operator.flops, operator.bytes["output"], kept, operator.split
        )
        if operator.all_reduce:
            self.tape.all_reduce(out)
        self.home[name] = name

    def _dgrad(self, operator: Operator, gradient: list[Tensor]) -> None:
        """Hands the gradient of what an operator made to what it read."""
        inputs = self._inputs(operator.name)
        wanted = [x for x in inputs if self._has_gradient(operator, x)]
        if not wanted:
            return
        if operator.kind in HANDED_ON:
            for x in wanted:
                self.gradients[x.producer] += [_Gradient(part, partial=False) for part in gradient]
            return
        rule = RULES[operator.kind]
        needs = {
            "nothing": [],
            "inputs": inputs,
            "output": [_Input(operator.name, operator.bytes["output"])],
            "indices": [x for x in inputs if x not in wanted],
        }[rule.needs]
        weights: dict[Operand, Quantity] = {k: operator.bytes[k] for k in ("weight", "expert") if k in operator.bytes}
        size: Quantity = sum((x.bytes for x in wanted), start=0.0)
        made = self._record(
            f"{operator.name}.dgrad", operator, gradient, needs, rule.flops * operator.flops, size, weights
        )
        for x in wanted:
            part = Tensor(made.producer, x.bytes)
            self.gradients[x.producer].append(_Gradient(part, self._is_replicated(x.producer) and _divides(operator)))

    def _wgrad(self, operator: Operator, gradient: list[Tensor]) -> None:
        """The gradient of weights, in the format of activations: `dW = x^T dy`, as many FLOPs as `y = x W`.

        That of looked-up rows is added to what is there.
        """
        inputs, flops = self._inputs(operator.name), operator.flops
        size = self.block.graph.nodes[operator.name]["weights"] * self.tape.bytes
        state: dict[Operand, Quantity] = {"state_write": size}
        if operator.kind == "embedding":
            inputs = [x for x in inputs if not self._has_gradient(operator, x)]
            flops = operator.bytes["output"] / self.tape.bytes * FLOPS_PER_ELEMENT["add"]
            state["state_read"] = size
        self._record(f"{operator.name}.wgrad", operator, gradient, inputs, flops, 0.0, state)

    def _gradient(self, name: str | None) -> list[Tensor]:
        """The gradient of what an operator made (None: of the block's input): one tensor, or slices that make it up."""
        parts = self.gradients.pop(name, [])
        whole = [part.tensor for part in parts if not part.partial]
        partial = [part.tensor for part in parts if part.partial]
        if partial:
            whole.insert(0, self._reduced(name, partial))
        return [self._sum(name, "sum", whole)] if np.any(_bytes(whole) > self._made(name)) else whole

    def _reduced(self, name: str | None, parts: list[Tensor]) -> Tensor:
        """Partial sums, added up on each device and marked to be reduced over all."""
        only = parts[0]
        alone = len(parts) == 1 and np.all(self._recorded(only).bytes["output"] == only.bytes)
        return self.tape.all_reduce(only if alone else self._sum(name, "partial_sum", parts))

    def _sum(self, name: str | None, what: str, parts: list[Tensor]) -> Tensor:
        total = _bytes(parts)
        made = np.minimum(total, self._made(name))
        flops = (total - made) / self.tape.bytes * FLOPS_PER_ELEMENT["add"]
        split: Split = "none" if self._is_replicated(name) else "elements"
        return self.tape.record(f"{name or 'input'}.{what}", "add", *parts, flops=flops, output=made, split=split)

    def _record(
        self,
        name: str,
        like: Operator,
        gradient: list[Tensor],
        needs: list[_Input],
        flops: Quantity,
        output: Quantity,
        operands: Mapping[Operand, Quantity],
        split: Split | None = None,
    ) -> Tensor:
        """One operator that reads a gradient and what it needs of the forward pass."""
        saved: Quantity = 0.0
        read = [*gradient]
        for x in needs:
            tensors, size = self._fetch(x, name)
            read += tensors
            saved = saved + size
        operands = {**operands, "saved_read": saved} if np.any(saved) else operands
        return self.tape.record(
            name, like.kind, *read, flops=flops, output=output, operands=operands, dtype=like.dtype,
            split=split or TURNED.get(like.split, like.split), ways=like.ways, phase=like.phase,
        )  # fmt: skip

    def _fetch(self, x: _Input, reader: str) -> tuple[list[Tensor], Quantity]:
        """A tensor of the forward pass: what operators here hand to the reader, and the bytes to be read as saved."""
        made_by = x.producer
        if made_by is None and self.handed:
            return [Tensor(None, x.bytes)], 0.0
        if made_by is not None and made_by not in self.home and not self._is_saved(made_by):
            self._run_forward(made_by)
        if made_by is not None and self.home.get(made_by) == made_by:
            return [Tensor(made_by, x.bytes)], 0.0
        loaded = self.loaded.get(made_by, 0.0)
        size = np.minimum(x.bytes, self._made(made_by) - loaded)
        self.loaded[made_by] = loaded + size
        home, handed = self.home.setdefault(made_by, reader), x.bytes - size
        return [Tensor(home, handed)] if np.any(handed) and home != reader else [], size

    def _is_saved(self, name: str) -> bool:
        """Whether what an operator of the forward block makes is saved: inside attention, only if not recomputed."""
        core = ("attention", "softmax")
        readers = [self.operator(reader) for reader in self.block.graph.successors(name)]
        inside = self.operator(name).kind in core and all(reader.kind in core for reader in readers)
        return self.recompute == "none" or not inside

    def _inputs(self, name: str) -> list[_Input]:
        graph, entries = self.block.graph, self.block.entries
        inputs = [_Input(p, graph.edges[p, name]["bytes"]) for p in graph.predecessors(name)]
        return [_Input(None, entries[name]), *inputs] if name in entries else inputs

    def _has_gradient(self, operator: Operator, x: _Input) -> bool:
        """All but token ids, and the choice of experts as those read it who follow it."""
        if x.producer is None:
            return operator.kind != "embedding"
        return not (operator.kind == "gather" and self.operator(x.producer).kind == "route")

    def _made(self, name: str | None) -> Quantity:
        """Bytes of what an operator of the forward block made (None: of the block's input)."""
        if name is not None:
            return self.operator(name).bytes["output"]
        largest: Quantity = np.max(np.broadcast_arrays(*self.block.entries.values()), axis=0)
        return largest

    def _is_replicated(self, name: str | None) -> bool:
        """Whether every device of a tensor-parallel group has all of a tensor of the forward pass."""
        return name is None or not _divides(self.operator(name))

    def _recorded(self, tensor: Tensor) -> Operator:
        assert tensor.producer
        operator: Operator = self.tape.graph.nodes[tensor.producer]["operator"]
        return operator


def _divides(operator: Operator) -> bool:
    """Whether tensor parallelism divides what an operator makes."""
    return operator.split not in ("none", "rows")


def _bytes(tensors: Iterable[Tensor]) -> Quantity:
    return sum((tensor.bytes for tensor in tensors), start=0.0)
