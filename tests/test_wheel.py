"""The wheel alone, in an environment that knows nothing of the checkout, answers from any folder."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ("hwconfigs", "workloads", "experiments")


def run(*command: str | Path, cwd: Path | str = "/") -> str:
    """What a command prints, run with nothing in its environment but a PATH."""
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    return next(folder.glob("tiersim-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment with the wheel in it; it borrows the packages that the wheel depends on."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def test_the_wheel_holds_the_configs_and_the_typing_marker(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder in SHIPPED:
        for file in (ROOT / folder).rglob("*.yaml"):
            assert f"simulator/_data/{file.relative_to(ROOT).as_posix()}" in held
    assert "simulator/py.typed" in held
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in held)


def test_the_installed_package_is_the_wheels_and_finds_its_own_data(installed: Path) -> None:
    program = "import simulator; from simulator import data; print(simulator.__file__); print(data.folder('hwconfigs'))"
    for place in run(installed / "python", "-c", program).splitlines():
        assert Path(place).is_relative_to(installed.parent)


def test_the_command_lists_the_hardware_from_anywhere(installed: Path) -> None:
    for command in ([installed / "tiersim"], [installed / "python", "-m", "simulator"]):
        said = run(*command, "list", "hardware")
        for file in (ROOT / "hwconfigs").glob("*.yaml"):
            assert file.stem in said


@pytest.mark.slow
def test_the_wheel_names_all_that_it_needs(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path)
    run(tmp_path / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    run(tmp_path / "bin" / "python", "-m", "pip", "check")
    assert "sn40l" in run(tmp_path / "bin" / "tiersim", "list", "hardware")
