"""Measures a GPU through PyTorch: products, attention, norms and copies by shape, timed by the GPU's own events.

A kernel is launched many times between two events (of CUDA, or of ROCm under the same names), on operands that lie
where the launch before left them: in the L2 cache where they fit. Below some microseconds the host's launches bind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulator.errors import ConfigError
from simulator.extra import imported
from simulator.validation.measure.rows import Point, Sample
from simulator.validation.measure.run import Bench
from simulator.validation.measure.sample import summary

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
"""What is measured, and PyTorch's names."""

ROWS = (1, 4, 16, 64, 256, 1024, 4096, 16384)
"""Rows of products and norms: sequences of a decode step, tokens of prompts."""

WEIGHTS = ((4096, 4096), (6144, 4096), (28672, 4096), (4096, 14336), (10240, 8192), (8192, 28672))
"""Columns and depth of products: those of Llama 3's projections, 8B and 70B."""

PREFILL = ((1, 512), (1, 2048), (1, 8192), (4, 2048))
DECODE = ((1, 2048), (16, 2048), (16, 8192), (64, 2048), (64, 8192), (128, 4096))
"""Sequences at once, and the tokens of each: all of them asked, or one, with that many cached."""

HEADS, KV_HEADS, HEAD_DIM = 32, 8, 128
"""Of attention: as many queries' heads, keys' heads, and their width."""

COPIES = tuple(2**power for power in range(16, 31, 2))
"""Bytes that are copied."""

REPEATS, WINDOW = 15, 2e-3
"""How often a point is repeated, and about how many seconds each repeat takes."""


def gpu_bench(dtypes: Sequence[str] = ("bf16",), number: int = 0) -> Bench:
    """A GPU of the machine at hand, by its number.

    Raises:
        ConfigError: PyTorch is not installed, or sees no such GPU; a dtype that is not measured.
    """
    torch = imported("torch", "measure-gpu", "measuring")
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise ConfigError(path="dtype", found=f"'{dtype}'", expected=f"one of {', '.join(DTYPES)}")
    if not torch.cuda.is_available() or number >= torch.cuda.device_count():
        found = f"{torch.cuda.device_count() if torch.cuda.is_available() else 'no'} GPU"
        raise ConfigError("PyTorch sees no such GPU", path="gpu", found=found, expected=f"GPU {number}")
    torch.cuda.set_device(number)
    hip = getattr(torch.version, "hip", None)
    engine = f"PyTorch {torch.__version__}, {f'ROCm {hip}' if hip else f'CUDA {torch.version.cuda}'}"
    calls: dict[str, Callable[[Any, Point], Callable[[], object]]] = {
        "gemm": _gemm, "attention": _attention, "rms_norm": _norm, "copy": _copy
    }  # fmt: skip

    def sample(point: Point) -> Sample:
        measured = timed(torch, calls[point.op](torch, point))
        torch.cuda.empty_cache()
        return measured

    name = torch.cuda.get_device_name(number)
    return Bench(
        f"measured by tiersim with {engine}, events, launched one by one", points(name, dtypes, engine), sample
    )


def points(device: str, dtypes: Sequence[str], engine: str) -> list[Point]:
    """What is measured of a GPU: of each dtype products, attention and norms; copies."""
    made = []
    for dtype in dtypes:
        made += [Point(device, "gemm", dtype, m=m, n=n, k=k, engine=engine) for n, k in WEIGHTS for m in ROWS]
        made += [
            Point(
                device, "attention", dtype, batch=batch, heads=HEADS, kv_heads=KV_HEADS, head_dim=HEAD_DIM,
                seq_q=queries or length, seq_kv=length, engine=engine,
            )
            for queries, sizes in ((0, PREFILL), (1, DECODE))
            for batch, length in sizes
        ]  # fmt: skip
        made += [Point(device, "rms_norm", dtype, m=m, n=8192, engine=engine) for m in ROWS]
    return made + [Point(device, "copy", bytes=size, engine=engine) for size in COPIES]


def timed(torch: Any, call: Callable[[], object]) -> Sample:
    """Seconds of a call, between two events, of as many launches as fill a window."""

    def seconds(launches: int) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(launches):
            call()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3 / launches

    seconds(3)
    launches = max(1, round(WINDOW / max(seconds(3), 1e-7)))
    return summary([seconds(launches) for _ in range(REPEATS)])


def _gemm(torch: Any, point: Point) -> Callable[[], object]:
    draw = _drawn(torch, point)
    x, weights = draw(point.m, point.k), draw(point.n, point.k)
    return lambda: torch.nn.functional.linear(x, weights)


def _attention(torch: Any, point: Point) -> Callable[[], object]:
    draw = _drawn(torch, point)
    q = draw(point.batch, point.heads, point.seq_q, point.head_dim)
    k, v = (draw(point.batch, point.kv_heads, point.seq_kv, point.head_dim) for _ in range(2))
    attend, causal = torch.nn.functional.scaled_dot_product_attention, point.seq_q == point.seq_kv
    return lambda: attend(q, k, v, is_causal=causal, enable_gqa=True)


def _norm(torch: Any, point: Point) -> Callable[[], object]:
    draw = _drawn(torch, point)
    x, weight = draw(point.m, point.n), draw(point.n)
    return lambda: torch.nn.functional.rms_norm(x, (point.n,), weight)


def _copy(torch: Any, point: Point) -> Callable[[], object]:
    source = torch.zeros(point.bytes, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _drawn(torch: Any, point: Point) -> Callable[..., Any]:
    dtype = getattr(torch, DTYPES[point.dtype])
    return lambda *shape: torch.randn(*shape, dtype=dtype, device="cuda")
