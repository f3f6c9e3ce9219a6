from __future__ import annotations

import subprocess
import sys

import pytest

import simulator
from simulator.cli.app import COMMANDS
from simulator.scenario.evaluators.batch import BatchEvaluator

ESTIMATE = ["estimate", "--hardware", "dgx-a100", "--model", "llama-2-7b", "--json"]


def test_the_help_names_every_command(run) -> None:
    told = run("--help")
    assert told.code == 0
    for command in COMMANDS:
        assert f" {command} " in told.out
        assert f"tiersim {command} " in run(command, "-h").out


def test_a_misspelt_command_is_told_the_nearest(run) -> None:
    assert "Did you mean 'measure'?" in run("measur").err
    assert "No such command 'dsk'. Did you mean 'disk'?" in run("measure", "dsk").err


def test_the_version(run) -> None:
    assert run("--version").out == f"tiersim {simulator.__version__}\n"


def test_an_interrupt_ends_with_130(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments, **options) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BatchEvaluator, "detail", interrupted)
    assert run(*ESTIMATE).code == 130


def test_a_fault_of_the_program_keeps_its_traceback(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*arguments, **options) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(BatchEvaluator, "detail", faulty)
    told = run(*ESTIMATE)
    assert told.code == 1
    assert isinstance(told.exception, ZeroDivisionError)


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "simulator", "list", "hardware", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def _loaded_by(*arguments: str) -> set[str]:
    """The packages that a command imports."""
    program = (
        "import sys; from simulator.cli.app import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_the_help_loads_no_model() -> None:
    assert not {"numpy", "pydantic", "networkx", "yaml", "pandas", "matplotlib", "pint"} & _loaded_by("--version")


def test_an_estimate_loads_neither_pandas_nor_matplotlib_nor_pint() -> None:
    loaded = _loaded_by(*ESTIMATE, "--explain")
    assert "numpy" in loaded
    assert not {"pandas", "matplotlib", "pint", "simpy", "rich"} & loaded


FULL = ">/dev/full", "error: cannot write: No space left on device"
CLOSED = ">&-", "error: stdout is closed: there is nowhere to print to"


@pytest.mark.parametrize(
    ("command", "where", "error"),
    [("schema hardware", *FULL), ("show chip.yaml", *FULL), ("show chip.yaml", *CLOSED)],
)
def test_where_nothing_can_be_printed_a_line_says_so(chip, command: str, where: str, error: str) -> None:
    chip()
    shell = f"exec {sys.executable} -m simulator {command} {where}"
    told = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False, timeout=60)
    assert (told.returncode, told.stderr.strip()) == (2, error)


def test_a_name_that_the_terminal_cannot_encode_is_written_out(chip, monkeypatch: pytest.MonkeyPatch) -> None:
    chip("name: chip", "name: \u6f22")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    told = subprocess.run(
        [sys.executable, "-m", "simulator", "check", "chip.yaml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert r"machine \u6f22:" in told.stdout


def test_the_help_waits_for_no_library_that_computes() -> None:
    """It lists all commands, whose modules import what they need when they run."""
    spied = (
        "import sys, simulator.cli as c; sys.argv[1:] = ['--help']\n"
        "try: c.main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    modules = subprocess.run([sys.executable, "-c", spied], capture_output=True, text=True, check=True).stderr.split()
    assert not {"numpy", "pandas", "pydantic", "networkx", "scipy", "matplotlib"}.intersection(modules)
