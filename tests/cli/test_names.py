"""Names as a terminal shows them: each character that has a look is itself, and no other reaches it."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from simulator.escape import one_line, visible
from tests.cli.conftest import CHIP
from tests.test_escape import NAMES, is_control

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TRAPS = ["x:fire:", "[red]x", "\x1b[31mx", "\x9b31mx", "\u202ex", "<b>", "$x$", "a\x00b", "a\rb"]


def check_printed(text: str) -> None:
    assert not any(map(is_control, text))


def squeezed(text: str) -> str:
    return "".join(text.split())


@FEW
@given(NAMES)
@example("x:fire:")
@example("\x1b[31mx")
def test_the_name_of_a_machine_is_printed_as_it_is(run, write, name: str) -> None:
    write("chip.yaml", CHIP.replace("name: chip", f"name: {json.dumps(name)}\ndescription: {json.dumps(name)}"))
    for command in (("check", "chip.yaml"), ("show", "chip.yaml"),
                    ("estimate", "--hardware", "chip.yaml", "--model", "llama-3.1-8b")):  # fmt: skip
        told = run(*command)
        check_printed(told.out + told.err)
        if told.code == 0 and name.strip():
            assert squeezed(visible(name)) in squeezed(told.out)
        assert told.code == 0 or told.err.startswith("error: ")


@FEW
@given(NAMES)
def test_the_name_of_a_model_is_printed_as_it_is(run, write, name: str) -> None:
    write("model.yaml", f"extends: llama-2-7b\nname: {json.dumps(name)}\nfamily: {json.dumps(name)}\n")
    for command in (("check", "model.yaml"), ("show", "model.yaml"),
                    ("roofline", "--hardware", "dgx-h100", "--model", "model.yaml")):  # fmt: skip
        told = run(*command)
        check_printed(told.out + told.err)
        if told.code == 0 and name.strip():
            assert squeezed(visible(name)) in squeezed(told.out)
        assert told.code == 0 or told.err.startswith("error: ")


@FEW
@given(NAMES)
def test_axes_and_titles_of_a_sweep_are_printed_as_they_are(run, write, name: str) -> None:
    write("chip.yaml", CHIP)
    write(
        "sweep.yaml",
        json.dumps(
            {
                "title": name,
                "base": {"hardware": "chip.yaml", "model": "llama-3.1-8b"},
                "axes": {"workload.batch": {"values": [1, 2], "name": "b"}},
                "derived": {"c": "b * 2"},
                "objectives": {"tbt_s": "min"},
            }
        ),
    )
    for command in (("check", "sweep.yaml"), ("show", "sweep.yaml"), ("sweep", "sweep.yaml", "--output", "out")):
        told = run(*command)
        check_printed(told.out + told.err)
        assert told.code == 0 or told.err.startswith("error: ")


@pytest.mark.parametrize("name", [trap.replace("\x00", "") for trap in TRAPS])
def test_the_name_of_a_file_is_printed_as_it_is(run, write, name: str) -> None:
    write(f"{name}.yaml", CHIP.replace("name: chip\n", ""))
    told = run("check", f"{name}.yaml")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"{one_line(name)}.yaml: ok, machine {one_line(name)}: ")
    none = run("check", f"no-{name}.yaml")
    check_printed(none.err)
    assert one_line(f"no-{name}.yaml") in none.err.replace("\\\\", "\\")


@FEW
@given(st.sampled_from(TRAPS), st.sampled_from(["show", "check", "estimate", "schema", "query", "--hardware"]))
def test_what_is_no_option_or_name_is_told_without_controls(run, name: str, command: str) -> None:
    told = run(command, name, f"--{name}", name)
    assert told.code == 2
    check_printed(told.out + told.err)
