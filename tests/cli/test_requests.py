"""Requests from a trace or from laws, checked, shown and written."""

from __future__ import annotations

import json

import pytest

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.98,100,10\n2023-11-16 18:17:05.98,300,30\n"
BAD = AZURE + "2023-11-16 18:17:07.98,0,30\nrubbish\n"
DRAWN = """\
    requests: 300
    arrivals: {kind: poisson, rate: 2}
    lengths: {kind: fixed, input: 100, output: 20}
    prefixes: {tokens: 50}
"""


def test_a_trace_is_checked(run, write) -> None:
    told = run("check", write("azure.csv", AZURE))
    assert told.out == "azure.csv: ok, 2 requests (azure) over 2 s, 1/s; mean 200 tokens in and 20 out\n"
    told = run("check", write("azure.csv", BAD))
    assert told.code == 2
    assert told.err == "error: azure.csv:4: ContextTokens: found 0, expected 1 or more\n"
    told = run("check", "--skip-bad", "azure.csv")
    assert told.code == 0
    assert "; left out 1: columns: expected 3, as in the header; left out 1: ContextTokens: expected 1" in told.out


def test_a_file_in_no_form_is_told_which_there_are(run, write) -> None:
    told = run("check", write("odd.csv", "when;in;out\n1;2;3\n"))
    assert told.code == 2
    assert told.err.startswith(
        "error: odd.csv:1: no known form of requests: found 'when;in;out', expected one of azure ("
    )
    assert "tiersim (arrival_s, input_tokens, output_tokens, request_id)" in told.err


def test_a_trace_is_shown_and_drawn(run, write, tmp_path) -> None:
    file = write("azure.csv", AZURE)
    document = run("show", file, "--json").json
    assert (document["kind"], document["form"], document["requests"], document["span_s"]) == ("requests", "azure", 2, 2)
    shown = run("show", file, "--output", "azure.png", "--set", "arrivals={kind: recorded, speed: 2}")
    assert "prompt" in shown.out and "2/s" in shown.out
    assert (tmp_path / "azure.png").read_bytes().startswith(b"\x89PNG")


def test_laws_are_checked_and_shown(run, write) -> None:
    file = write("chat.yaml", DRAWN)
    assert "300 requests (drawn) over" in run("check", file).out
    document = run("show", file, "--json").json
    assert document["reused"] == pytest.approx(299 / 300 / 3)
    told = run("check", write("chat.yaml", DRAWN.replace("poisson", "poison")))
    assert told.code == 2 and "did you mean 'poisson'" in told.err


def test_a_table_of_lengths_is_checked_and_needs_a_process_to_be_more(run, write) -> None:
    file = write("lengths.csv", "num_prefill_tokens,num_decode_tokens,num_total_tokens\n3,4,7\n5,6,11\n")
    assert "2 requests (vidur_lengths), no times between them; mean 4 tokens in and 5 out" in run("check", file).out
    told = run("requests", file, "--output", "x.csv")
    assert told.code == 2 and "the trace does not say when requests arrive" in told.err
    told = run("requests", file, "--output", "x.csv", "--set", "arrivals={kind: even, rate: 2}")
    assert told.out == "x.csv: 2 requests\n"


def test_requests_are_written_in_our_form(run, write, tmp_path) -> None:
    assert run("requests", write("azure.csv", BAD), "--output", "ours.csv").code == 2
    told = run("requests", "azure.csv", "--output", "ours.csv", "--skip-bad")
    assert told.out.splitlines()[0] == "ours.csv: 2 requests"
    assert len(told.out.splitlines()) == 3
    text = (tmp_path / "ours.csv").read_text()
    assert text == "request_id,arrival_s,input_tokens,output_tokens\n0,0.0,100,10\n1,2.0,300,30\n"
    laws = ["requests=3", "arrivals={kind: closed, in_flight: 2}", "lengths={kind: fixed, input: 1, output: 1}"]
    told = run("requests", "--output", "drawn.parquet", *(each for law in laws for each in ("--set", law)))
    assert told.out == "drawn.parquet: 3 requests\n"
    assert "warning: drawn.parquet: a file does not say how many are in flight" in told.err
    assert "3 requests (tiersim), no times between them" in run("check", "drawn.parquet").out


def test_what_is_no_picture_is_told(run, write) -> None:
    told = run("show", "dgx-h100", "--output", "x.png")
    assert told.code == 2 and "--output: there is no picture of it: found a machine, expected requests" in told.err
    told = run("show", write("azure.csv", AZURE), "--output", "x.bmp")
    assert told.code == 2 and "expected .png, .svg or .pdf" in told.err


def test_warnings_are_in_the_document(run, write) -> None:
    (found,) = json.loads(run("check", write("azure.csv", AZURE), "--json").out)
    assert (found["kind"], found["ok"], found["warnings"]) == ("requests", True, [])
