"""A GEMM on a GPU obeys its roofline, grows with its shape and never suffers from a better chip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.gpu.chip import Chip, chip_of
from simulator.mapping.gpu.gemm import GemmLibrary, gemm_parts, gemm_seconds
from simulator.mapping.gpu.kernel import norm
from simulator.mapping.gpu.traffic import layout_of

LIBRARY = GemmLibrary()
CHIP = chip_of(load_system("h100-sxm"))
SIZES = st.integers(1, 40_000)
FEW = settings(max_examples=40, deadline=None)


@FEW
@given(SIZES, SIZES, SIZES)
def test_no_product_is_faster_than_its_roofline(m: int, n: int, k: int) -> None:
    seconds = gemm_seconds(m, n, k, CHIP, LIBRARY, warm=False)
    compute = 2.0 * m * n * k / (LIBRARY.emax * CHIP.rate("bf16"))
    dram = 2.0 * (m * k + n * k) / (LIBRARY.ebw * CHIP.bandwidth)
    assert seconds >= LIBRARY.t0 + max(compute, dram)
    assert gemm_seconds(m, n, k, CHIP, LIBRARY) <= seconds  # operands that stay in L2 cost no more


@FEW
@given(SIZES, SIZES, SIZES, st.integers(1, 3000), st.booleans())
def test_a_larger_product_takes_no_less(m: int, n: int, k: int, more: int, warm: bool) -> None:
    before = gemm_seconds(m, n, k, CHIP, LIBRARY, warm=warm)
    larger = np.array([[m + more, n, k], [m, n + more, k], [m, n, k + more]], float).T
    assert np.all(gemm_seconds(*larger, CHIP, LIBRARY, warm=warm) >= before * (1 - 1e-12))


@FEW
@given(SIZES, SIZES, SIZES, st.floats(1.01, 4))
def test_a_better_chip_is_never_slower(m: int, n: int, k: int, factor: float) -> None:
    before = gemm_seconds(m, n, k, CHIP, LIBRARY)
    rate = {"bf16": CHIP.rate("bf16") * 2}
    better = [
        replace(CHIP, bandwidth=CHIP.bandwidth * factor),
        replace(CHIP, sms=CHIP.sms * 2, peak=rate),  # more SMs of the same kind
        replace(CHIP, peak={"bf16": CHIP.rate("bf16") * factor}),
        replace(CHIP, clock=CHIP.clock * factor),
        replace(CHIP, l2=CHIP.l2 * factor),
    ]
    assert all(gemm_seconds(m, n, k, each, LIBRARY) <= before * (1 + 1e-12) for each in better)


BY_TRAFFIC = GemmLibrary(tile="traffic", wave="whole", step=9e-8, alone=4.0)


@FEW
@given(SIZES, SIZES, SIZES)
def test_a_tile_by_traffic_does_all_of_a_product(m: int, n: int, k: int) -> None:
    """No faster than its roofline, however tiles fall; and its parts overlap to the whole."""
    seconds = gemm_seconds(m, n, k, CHIP, BY_TRAFFIC, "fp8", warm=False)
    compute = 2.0 * m * n * k / CHIP.rate("fp8")
    dram = (m * k + n * k) / (BY_TRAFFIC.ebw * CHIP.bandwidth)
    assert seconds >= BY_TRAFFIC.t0 + max(compute, dram)
    parts = gemm_parts(m, n, k, CHIP, BY_TRAFFIC, "fp8", warm=False)
    overlapping = norm(BY_TRAFFIC.p, *(parts[name] for name in ("compute", "l2", "dram")))
    assert seconds == pytest.approx(parts["launch"] + overlapping + parts["epilogue"] + parts["quantise"])


@pytest.mark.parametrize(
    ("m", "n", "rows", "columns", "alone"),
    [
        (768, 4096, 128, 192, True),
        (769, 4096, 128, 112, False),
        (1536, 4096, 128, 192, False),
        (64, 4096, 64, 32, False),
    ],
)
def test_deepgemm_picks_the_tile_of_least_traffic(m: int, n: int, rows: int, columns: int, alone: bool) -> None:
    """As its rule gives them by hand: one wave of large tiles where they fill the SMs, else clusters of two."""
    tile = layout_of(m, n, 4096, 1, CHIP)
    assert (tile.rows, tile.columns, tile.alone) == (rows, columns, alone)


def shapes(count: int = 200) -> np.ndarray:
    return np.floor(np.exp(np.random.default_rng(3).uniform(0, 10, (3, count))))


def test_many_shapes_at_once_are_each_alone() -> None:
    m, n, k = shapes()
    together = gemm_seconds(m, n, k, CHIP, LIBRARY)
    alone = [gemm_seconds(*each, CHIP, LIBRARY) for each in zip(m, n, k, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    repeated = gemm_seconds(*(np.tile(each, 60) for each in (m, n, k)), CHIP, LIBRARY)  # in chunks
    np.testing.assert_allclose(repeated, np.tile(together, 60), rtol=1e-12)


@pytest.mark.parametrize("tile", ["fastest", "rows", "traffic"])
def test_many_rows_at_once_are_each_alone(tile: str) -> None:
    library, rows = GemmLibrary.model_validate({"tile": tile}), np.unique(np.geomspace(1, 5000, 90).round())
    together = gemm_seconds(rows, 4096, 1024, CHIP, library, warm=False)
    alone = [float(gemm_seconds(m, 4096, 1024, CHIP, library, warm=False)) for m in rows]
    assert together.tolist() == pytest.approx(alone, rel=1e-14)


def test_many_chips_at_once_are_each_alone() -> None:
    factors = np.linspace(0.5, 2, 7)

    def chip(factor: float | np.ndarray) -> Chip:
        return replace(CHIP, clock=CHIP.clock * factor, bandwidth=CHIP.bandwidth / factor, peak={"bf16": 1e15 * factor})

    for shape in ((8, 1280, 8192), (513, 4096, 4097), (1, 1, 1)):
        together = gemm_seconds(*shape, chip(factors), LIBRARY)
        np.testing.assert_allclose(
            together, [gemm_seconds(*shape, chip(each), LIBRARY) for each in factors], rtol=1e-12
        )


def test_parts_overlap_to_the_whole() -> None:
    m, n, k = shapes()
    parts = gemm_parts(m, n, k, CHIP, LIBRARY)
    overlapped = sum(parts[name] ** LIBRARY.p for name in ("compute", "l2", "dram")) ** (1 / LIBRARY.p)
    whole = parts["launch"] + overlapped + parts["split"] + parts["epilogue"]
    np.testing.assert_allclose(whole, gemm_seconds(m, n, k, CHIP, LIBRARY), rtol=1e-12)


def test_a_chip_without_the_format_refuses() -> None:
    with pytest.raises(ConfigError, match="fp4"):
        gemm_seconds(8, 8, 8, CHIP, LIBRARY, "fp4")


def test_a_machine_without_a_chip_is_named() -> None:
    with pytest.raises(ConfigError, match="sn40l"):
        chip_of(load_system("sn40l"))
