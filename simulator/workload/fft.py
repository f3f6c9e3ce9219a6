"""Fourier transforms as products of matrices (Monarch): the paper's example of fusion, and a long convolution.

A transform of length N = n1 n2 ... np is p products with small Fourier matrices, and between two of them a product
with the twiddle factors, element by element, and a transpose (FlashFFTConv, arXiv 2311.05908). All of it is spelled
out in real numbers: a complex product of matrices is 4 real ones and 2 sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, TypeAlias

from simulator.errors import ConfigError
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT, Dtype
from simulator.workload.operators.graph import Block, OperatorGraph
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT, Kind, Operand, Operator
from simulator.workload.operators.tape import Tensor

if TYPE_CHECKING:
    import networkx as nx

Complex: TypeAlias = tuple[Tensor, Tensor]
"""Real and imaginary part."""


def monarch(*, count_scale: bool, outer: int = 1024, inner: int = 128, dtype: Dtype = "bf16") -> OperatorGraph:
    """The Monarch FFT of arXiv 2405.07518, Fig. 3: `W1 (scale * (W0 x))^T`.

    W0 is outer x inner, x inner x outer, scale outer x outer, W1 inner x outer: `2 (2 outer^2 inner) + outer^2` FLOPs.
    The paper's Table I does not count the bytes of the scale; without `count_scale`, it is left out here too.
    """
    run = _Recorder(dtype)
    weight, square = outer * inner, outer * outer
    x = run.record("gemm0", "gemm", run.source(weight), flops=2.0 * square * inner, made=square, read={"w0": weight})
    scale = {"scale": square} if count_scale else {}
    x = run.record("scale", "multiply", x, flops=float(square), made=square, read=scale)
    x = run.record("transpose", "transpose", x, flops=0.0, made=square)
    x = run.record("gemm1", "gemm", x, flops=2.0 * square * inner, made=weight, read={"w1": weight})
    return run.graph_of("monarch", x, outer)


def long_convolution(
    batch: int, channels: int, factors: Sequence[int] = (32, 32, 32, 32), dtype: Dtype = "bf16"
) -> OperatorGraph:
    """A circular convolution of real sequences with a kernel a channel, `ifft(fft(u) fft(k))`, of N = prod(factors).

    `fft(k)` is at hand, in the order in which the transform leaves its result. A causal convolution of L tokens takes
    N = 2 L. The first product reads real numbers and the last makes only such, so each is half of a complex one:
    `8 n1 + 16 (n2 + ... + np) + 16 (p - 1) + 7` FLOPs an element.

    FlashFFTConv takes 1M as 32 x 32 x 32 x 32 (`flashfftconv/conv.py` of its code: 32 x 32768, that as 32 x 1024, that
    as 32 x 32), and gives its results for a batch of 64 and 768 channels (README.md there, "Benchmarking").

    A constant that two operators read, such as the real part of a Fourier matrix, is read by the first, which hands it
    on to the second.

    Raises:
        ConfigError: fewer than two factors, or one of less than 2; no sequences.
    """
    for path, values, least in (("factors", tuple(factors), 2), ("batch", (batch,), 1), ("channels", (channels,), 1)):
        if any(value < least for value in values):
            raise ConfigError(path=path, found=min(values), expected=f"{least} or more")
    if len(factors) < 2:
        raise ConfigError(path="factors", found=f"{len(factors)}", expected="two or more")
    length = prod(factors)
    run = _Convolution(dtype, batch * channels * length)
    u = run.source(run.elements)
    x = run.real_product("fft.0", u, factors[0])
    for level, factor in enumerate(factors[1:], 1):
        x = run.turned(f"fft.{level - 1}", x, prod(factors[level - 1 :]))
        x = run.product(f"fft.{level}", x, factor)
    x = run.multiplied("kernel", x, channels * length, each_row=True)
    for level, factor in enumerate(factors[:0:-1]):
        x = run.product(f"ifft.{level}", x, factor)
        x = run.turned(f"ifft.{level}", x, prod(factors[len(factors) - level - 2 :]))
    y = run.real_part(f"ifft.{len(factors) - 1}", x, factors[0])
    return run.graph_of(f"convolution-{length}", y, batch * channels)


class _Recorder:
    """Operators of a graph without a model; sizes are in elements."""

    def __init__(self, dtype: Dtype) -> None:
        import networkx as nx

        self.dtype, self.bytes = dtype, BYTES_PER_ELEMENT[dtype]
        self.graph: nx.DiGraph[str] = nx.DiGraph()
        self.entries: dict[str, float] = {}
        self.homes: dict[str, str] = {}
        self.inputs: dict[str, str] = {}

    def source(self, elements: int) -> Tensor:
        return Tensor(None, elements * self.bytes)

    def record(
        self,
        name: str,
        kind: Kind,
        *inputs: Tensor,
        flops: float,
        made: int,
        read: dict[str, int] | None = None,
        each_row: bool = False,
    ) -> Tensor:
        """One operator that reads `inputs` and constants; a constant that was read before comes from who read it.

        A constant that has its own values for `each_row` arrives with the rows, as the input does.
        """
        arriving, operands = list(inputs), dict[Operand, float]()
        for constant, elements in (read or {}).items():
            size = elements * self.bytes
            if constant in self.homes:
                arriving.append(Tensor(self.homes[constant], size))
                continue
            self.homes[constant] = name
            if each_row:
                arriving.append(Tensor(None, size))
                self.inputs[name] = constant
            else:
                operands["weight"] = operands.get("weight", 0.0) + size
        output = made * self.bytes
        operands |= {"input": sum(float(tensor.bytes) for tensor in arriving), "output": output}
        self.graph.add_node(name, operator=Operator(name, kind, flops, operands, self.dtype))
        for tensor in arriving:
            if tensor.producer is None:
                self.entries[name] = float(tensor.bytes)
            else:
                self.graph.add_edge(tensor.producer, name, bytes=tensor.bytes)
        return Tensor(name, output)

    def graph_of(self, name: str, out: Tensor, tokens: int) -> OperatorGraph:
        assert out.producer
        block = Block(name, 1, self.graph, self.entries, out.producer, float(tokens), self.inputs)
        return OperatorGraph(None, (block,))


class _Convolution(_Recorder):
    """Complex arithmetic on tensors of so many `elements`, in real operators."""

    def __init__(self, dtype: Dtype, elements: int) -> None:
        super().__init__(dtype)
        self.elements = elements

    def product(self, name: str, x: Complex, n: int) -> Complex:
        """`F x`: 4 products and 2 sums."""
        return self.real_part(name, x, n), self.sum(
            f"{name}.imaginary", self.gemm(name, "ri", x[1], n), self.gemm(name, "ir", x[0], n)
        )

    def real_product(self, name: str, x: Tensor, n: int) -> Complex:
        """`F x` of real x: 2 products."""
        return self.gemm(name, "r", x, n), self.gemm(name, "i", x, n)

    def real_part(self, name: str, x: Complex, n: int) -> Tensor:
        """The real part of `F x`: 2 products and a sum."""
        return self.sum(f"{name}.real", self.gemm(name, "rr", x[0], n), self.gemm(name, "ii", x[1], n))

    def gemm(self, name: str, parts: str, x: Tensor, n: int) -> Tensor:
        """A product with the real or the imaginary part of the Fourier matrix of n x n: `2 n elements` FLOPs."""
        matrix = {f"{name}.{parts[0]}": n * n}
        return self.record(
            f"{name}.gemm_{parts}", "gemm", x, flops=2.0 * n * self.elements, made=self.elements, read=matrix
        )

    def turned(self, name: str, x: Complex, twiddles: int) -> Complex:
        """The twiddle factors, and a transpose of both parts."""
        real, imaginary = self.multiplied(f"{name}.twiddle", x, twiddles)
        return self.transposed(f"{name}.transpose_r", real), self.transposed(f"{name}.transpose_i", imaginary)

    def multiplied(self, name: str, x: Complex, constants: int, each_row: bool = False) -> Complex:
        """A complex product element by element: 4 products and 2 sums."""

        def part(parts: str, factor: Tensor) -> Tensor:
            flops, read = self.elements * FLOPS_PER_ELEMENT["multiply"], {f"{name}.{parts[0]}": constants}
            return self.record(
                f"{name}.multiply_{parts}", "multiply", factor, flops=flops, made=self.elements, read=read,
                each_row=each_row,
            )  # fmt: skip

        real = self.sum(f"{name}.real", part("rr", x[0]), part("ii", x[1]))
        return real, self.sum(f"{name}.imaginary", part("ri", x[1]), part("ir", x[0]))

    def sum(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        flops = self.elements * FLOPS_PER_ELEMENT["add"]
        return self.record(name, "add", a, b, flops=flops, made=self.elements)

    def transposed(self, name: str, x: Tensor) -> Tensor:
        return self.record(name, "transpose", x, flops=0.0, made=self.elements)
