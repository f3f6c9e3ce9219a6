"""Products of a table take what their kernel does, or their host, where one launches them."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.hardware import load_system
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.gemm import GemmLibrary
from simulator.mapping.gpu.kernel import bound_by
from simulator.mapping.gpu.products import GEMM

CHIP = chip_of(load_system("h100-sxm"))


def test_a_host_that_launches_is_waited_for_unless_it_is_told_apart() -> None:
    library = GemmLibrary(launch="host", host=8e-5)
    shapes = {"m": np.array([1.0, 8192.0]), "n": 8192.0, "k": 8192.0}
    alone = GEMM.seconds({**shapes, "launched": 0.0}, CHIP, library)
    assert GEMM.seconds(shapes, CHIP, library) == pytest.approx(np.maximum(alone, 8e-5))
    assert list(bound_by(GEMM, shapes, CHIP, library)) == ["host", "compute"]
