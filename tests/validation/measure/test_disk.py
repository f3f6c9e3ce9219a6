"""Reads of a disk: places and counts, the file that is made and goes, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import ConfigError
from simulator.validation.measure import disk
from simulator.validation.measure.disk import bench, direct, disk_bench, file_to_read, read_sample
from simulator.validation.measure.run import run

MIB = 2**20


class Drive:
    """Takes 10 us and a byte a nanosecond a read, so many at once; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int, int]] = []

    def __call__(self, reads: int, chunk: int, threads: int, span: int) -> float:
        self.asked.append((reads, chunk, threads, span))
        return reads * (10e-6 + chunk * 1e-9) / threads


def test_a_sample_is_seconds_a_read_of_windows_that_are_long_enough() -> None:
    drive = Drive()
    measured = read_sample(drive, 16384, 3, 64 * MIB)
    assert measured.value == measured.least == pytest.approx((10e-6 + 16384e-9) / 3)
    assert all(reads % 3 == 0 for reads, *_ in drive.asked)
    assert drive.asked[-1][0] * measured.value == pytest.approx(disk.WINDOW, rel=0.01)


def test_each_chunk_is_read_by_each_number_of_threads(tmp_path: Path) -> None:
    drive = Drive()
    made = bench("disk", 64 * MIB, 10**12, (4096, 65536), (1, 4), drive)
    done = run(made, tmp_path / "rows.csv")
    assert done.measured == 5
    assert {asked[1:] for asked in drive.asked} == {(c, t, 64 * MIB) for c in (4096, 65536) for t in (1, 4)}
    assert made.sample(made.points[0]).value == 1e12


def test_a_file_that_is_made_is_deleted_whatever_happens(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    with file_to_read(table, None, 64 * MIB + 5) as made:
        assert made.parent == tmp_path
        assert made.stat().st_size == 64 * MIB
    with pytest.raises(KeyboardInterrupt), file_to_read(table, None, 64 * MIB):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_no_file_that_is_there_is_overwritten_or_deleted(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    there = tmp_path / ".rows.csv.read"
    there.write_text("mine")
    with pytest.raises(ConfigError, match=r"\.rows\.csv\.read: cannot be made"), file_to_read(table, None, 64 * MIB):
        pass
    assert there.read_text() == "mine"
    with file_to_read(table, there, None) as given:
        assert given == there
    assert there.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "what to read: found neither"),
        ({"file": Path("x"), "size": MIB}, "found both"),
        ({"size": MIB}, "size: found 1.049 MB, expected 67.11 MB or more"),
        ({"size": 2**60}, "no room for the file to read"),
        ({"file": Path("nowhere")}, "nowhere: cannot be read: No such file"),
        ({"file": Path("/")}, "found no file"),
        ({"size": 64 * MIB, "chunks": (5000,)}, "chunks: found 5000, expected multiples of 4096"),
        ({"size": 64 * MIB, "threads": (0,)}, "threads: found 0"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message), disk_bench(tmp_path / "rows.csv", **options):  # type: ignore[arg-type]
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_is_read_directly_or_it_is_told_that_it_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * MIB)
    try:
        read = direct(file)
    except ConfigError as error:
        assert "cannot be read directly" in str(error) or "page cache" in str(error)  # tmpfs, macOS
        return
    assert read(8, 8192, 4, MIB) > 0
    with pytest.raises(OSError, match="shorter"):
        read(1, 2 * MIB, 1, 2 * MIB)
