from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.report.roofline import draw
from simulator.scenario.roofline import Roofline


def kernel(
    op: str, flops: float, traffic: float, bound_by: str = "gpu.hbm->gpu.gpu", repeat: int = 1
) -> dict[str, Any]:
    time = max(flops / 1e15, traffic / 1e12)
    return {
        "op": op,
        "repeat": repeat,
        "flops": flops,
        "bytes": traffic,
        "op_per_byte": flops / traffic,
        "bound_by": bound_by,
        "attainable_flops": flops / time,
        "time_s": time,
        "bytes_hbm": traffic,
        "bytes_sram": 3 * traffic,
    }


def roofline(*rows: dict[str, Any]) -> Roofline:
    roofs = [{"tier": "sram", "bandwidth": 1e13}, {"tier": "hbm", "bandwidth": 1e12}]
    return Roofline("a model on 2 x gpu", list(rows), roofs, 1e15, "hbm", Provenance({}))


KERNELS = (
    kernel("attention.q_proj", 8e9, 1e9, repeat=32),
    kernel("attention.k_proj", 8e9, 1e9, repeat=32),
    kernel("ffn.up_proj", 9e12, 1e9, "gpu.gpu"),
    kernel("embedding", 0, 1e6),
)


def text(path: Path) -> str:
    """What an SVG says: matplotlib notes each text beside its outlines."""
    return path.read_text()


def test_it_is_drawn_alike_each_time(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw(roofline(*KERNELS), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_it_names_roofs_and_kernels_and_what_is_left_out(tmp_path: Path) -> None:
    draw(roofline(*KERNELS), tmp_path / "a.svg")
    said = text(tmp_path / "a.svg")
    for expected in ("sram 10 TB/s", "hbm 1 TB/s", "peak 1 PFLOP/s", "attention.q_proj, k_proj", "ffn.up_proj"):
        assert expected in said
    assert "not shown, no FLOPs: embedding" in said
    assert "open marker: FLOP/B of sram" in said


def test_kernels_that_coincide_are_one_marker_with_their_time_together(tmp_path: Path) -> None:
    same = [kernel(f"block.op{n}", 8e9, 1e9) for n in range(4)]
    draw(roofline(*same), tmp_path / "a.svg")
    assert "100%  block.op0, op1, op2, op3" in text(tmp_path / "a.svg")


@pytest.mark.parametrize("rows", [(), KERNELS[3:], KERNELS[:1], KERNELS * 20])
def test_few_and_many_kernels_are_drawn(tmp_path: Path, rows: tuple[dict[str, Any], ...]) -> None:
    draw(roofline(*rows), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 1000


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="png, svg or pdf"):
        draw(roofline(*KERNELS), tmp_path / "a.txt")
