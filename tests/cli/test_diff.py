from __future__ import annotations


def test_two_machines_are_side_by_side(run) -> None:
    told = run("diff", "h100-sxm", "mi300x")
    assert told.code == 0
    for text in ("h100-sxm", "mi300x", "3.35 TB/s", "5.3 TB/s", "1.582", "are alike in"):
        assert text in told.out
    document = run("diff", "dgx-h100", "h100-sxm", "--json").json
    assert (document["kind"], document["first"], document["second"]) == ("machine", "dgx-h100", "h100-sxm")
    assert document["alike"] > 30
    figures = {row["path"]: row for row in document["figures"]}
    assert figures["static_power"] == {
        "path": "static_power",
        "first": 2000.0,
        "second": None,
        "unit": "W",
        "ratio": None,
    }
    assert all(row["first"] != row["second"] for row in figures.values())


def test_show_of_two_names_has_what_is_alike_too(run) -> None:
    both, differing = (run(*command, "--json").json for command in (("show", "t4", "l4"), ("diff", "t4", "l4")))
    assert len(both["figures"]) == len(differing["figures"]) + both["alike"]
    assert run("show", "t4", "l4", "--set", "nodes=2").err.startswith("error: --set: found with two names")


def test_a_machine_and_a_model_are_not_compared(run) -> None:
    told = run("diff", "llama-3-8b", "h100-sxm")
    assert told.code == 2
    assert "a model (llama-3-8b) and a machine (h100-sxm), expected two machines or two models" in told.err


def test_a_thing_and_itself_are_alike(run) -> None:
    shown = run("diff", "a10", "a10").out
    assert shown.startswith("They are alike in all")
    assert "ratio" not in shown
