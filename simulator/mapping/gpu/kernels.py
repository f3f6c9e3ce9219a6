"""The classes of GPU kernels that have a model, and the class of an operator."""

from __future__ import annotations

from simulator.errors import ConfigError, nearest, one_of
from simulator.mapping.gpu.attention import DECODE, MLA_DECODE, MLA_PREFILL, PREFILL
from simulator.mapping.gpu.collective import COLLECTIVE
from simulator.mapping.gpu.copy import COPY
from simulator.mapping.gpu.exchange import EXCHANGE
from simulator.mapping.gpu.kernel import GpuKernel
from simulator.mapping.gpu.moe import MOE
from simulator.mapping.gpu.products import GEMM
from simulator.mapping.gpu.row_wise import ROW_WISE

KERNELS: dict[str, GpuKernel] = {
    each.name: each
    for each in (GEMM, PREFILL, DECODE, MLA_PREFILL, MLA_DECODE, MOE, ROW_WISE, COLLECTIVE, EXCHANGE, COPY)
}

UNLIKE = ("gemm_square_best", "attention_fwd_bwd")
"""What operators are called that begin as one of a class and are none: the best of many, a pass back."""


def kernel_of(op: str) -> GpuKernel:
    """The class of an operator, by what its name begins with; the longest counts.

    Raises:
        ConfigError: no class has it.
    """
    starts = {start: each for each in KERNELS.values() for start in each.ops}
    fitting = [] if op.startswith(UNLIKE) else [start for start in starts if op.startswith(start)]
    if not fitting:
        known = one_of(starts)
        raise ConfigError(
            path="op", found=f"'{op}'", expected=f"an operator that has a model: {known}", nearest=nearest(op, starts)
        )
    return starts[max(fitting, key=len)]
