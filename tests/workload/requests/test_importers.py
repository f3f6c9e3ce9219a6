"""Each public form with what is easily read wrong in it, on rows of our own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from simulator.errors import ConfigError
from simulator.workload.requests.importers.llmservingsim import chained
from simulator.workload.requests.request import Request
from simulator.workload.requests.trace import open_trace


def shapes(requests: Iterable[Request]) -> list[tuple[float, int, int]]:
    return [(each.arrival_s, each.input_tokens, each.output_tokens) for each in requests]


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


class TestAzure:
    HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"

    def test_2023_has_seven_digits_no_zone_and_no_end_of_its_last_line(self, read) -> None:
        text = f"{self.HEADER}\r\n2023-11-16 23:59:59.9799600,374,44\r\n2023-11-17 00:00:00.0000001,9,1"
        assert shapes(read(text)) == [(0.0, 374, 44), (pytest.approx(0.0200401, abs=1e-12), 9, 1)]

    def test_2024_has_an_offset_and_drops_a_fraction_of_zero(self, read) -> None:
        text = f"{self.HEADER}\n2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:01+00:00,10,7\n"
        assert shapes(read(text)) == [(0.0, 2162, 5), (pytest.approx(0.99007, abs=1e-12), 10, 7)]

    def test_offsets_count(self, read) -> None:
        text = f"{self.HEADER}\n2024-05-10 02:00:00+02:00,10,5\n2024-05-10 00:00:01+00:00,10,7\n"
        assert [each.arrival_s for each in read(text)] == [0.0, 1.0]

    def test_a_clock_with_a_zone_in_some_rows_alone_is_refused(self, read) -> None:
        text = f"{self.HEADER}\n2024-05-10 00:00:00+00:00,10,5\n2024-05-10 00:00:01,10,7\n"
        with pytest.raises(ConfigError, match=r"trace\.csv:3: TIMESTAMP: found '2024-05-10 00:00:01', expected a time"):
            read(text)


class TestBurstGpt:
    def test_columns_are_found_by_name_and_failures_are_left_out_and_counted(self, tmp_path: Path, read) -> None:
        first = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        rows = "5,ChatGPT,472,18,490,Conversation log\n5,GPT-4,0,0,0,Conversation log\n45,GPT-4,10,30,40,API log\n"
        requests = read(first + rows)
        assert shapes(requests) == [(0.0, 472, 18), (40.0, 10, 30)]
        assert [each.model for each in requests] == ["ChatGPT", "GPT-4"]
        trace = open_trace(tmp_path / "trace.csv")
        assert sum(batch.num_rows for batch in trace.batches()) == 2
        assert trace.left_out == {"failed requests, with no answer": 1}

    def test_the_third_has_sessions_in_the_middle_and_times_of_months(self, read) -> None:
        header = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        rows = "19480904.0,bc26,2,ChatGPT,104,53,157,Conversation log\n19480949.0,,0,GPT-4,22,112,134,API log\n"
        requests = read(header + rows)
        assert shapes(requests) == [(0.0, 104, 53), (45.0, 22, 112)]
        assert [each.session_id for each in requests] == ["bc26", None]
        assert requests[0].segments(104) == ()  # a session's name does not say that its prompts grow


class TestMooncake:
    @staticmethod
    def row(timestamp: int, tokens: int, ids: list[int]) -> dict[str, object]:
        return {"timestamp": timestamp, "input_length": tokens, "output_length": 1, "hash_ids": ids}

    def test_milliseconds_and_blocks_of_512_of_which_the_last_is_short(self, read) -> None:
        one, other = read(lines(self.row(3000, 1030, [0, 1, 2]), self.row(5999, 600, [0, 7])), "trace.jsonl")
        assert shapes([one, other]) == [(0.0, 1030, 1), (pytest.approx(2.999), 600, 1)]
        assert one.segments(1030) == ((0, 512), (1, 512), (2, 6))
        assert other.segments(600) == ((0, 512), (7, 88))
        assert one.segments(1031) == one.segments(1030)  # of the answer there are no ids

    def test_as_many_ids_as_blocks(self, read) -> None:
        text = lines(self.row(0, 512, [0]), self.row(0, 513, [0]))
        with pytest.raises(ConfigError, match=r"trace\.jsonl:2: hash_ids: found 1, expected an id for each 512 tokens"):
            read(text, "trace.jsonl")


class TestVidur:
    def test_seconds(self, read) -> None:
        text = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n5.8926549999999995,91,16\n"
        assert shapes(read(text)) == [(0.0, 374, 44), (5.8926549999999995, 91, 16)]

    def test_a_table_of_lengths_has_no_times(self, tmp_path: Path, read) -> None:
        text = "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n3772,54,3826,69.85\n10,5,15,2.0\n"
        assert shapes(read(text)) == [(0.0, 3772, 54), (0.0, 10, 5)]
        assert not open_trace(tmp_path / "trace.csv").timed
        with pytest.raises(ConfigError, match=r"csv:3: num_total_tokens: found 16, expected their sum"):
            read(text.replace("15,2.0", "16,2.0"))


class TestSplitwise:
    HEADER = "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"

    def test_it_is_not_taken_for_ours_which_has_a_column_of_the_same_name(self, read) -> None:
        requests = read(f"{self.HEADER}0,2,0,1,1,4096,32\n7,2,0,3.5,1,2048,8\n")
        assert shapes(requests) == [(0.0, 4096, 32), (2.5, 2048, 8)]
        assert [each.request_id for each in requests] == ["0", "7"]

    @pytest.mark.parametrize(
        ("row", "column"), [("0,1,0,1,1,4096,32", "request_type"), ("0,2,0,1,8,4, 2", "batch_size")]
    )
    def test_what_is_no_single_request_to_a_language_model(self, row: str, column: str, read) -> None:
        with pytest.raises(ConfigError, match=rf"csv:2: {column}: found"):
            read(f"{self.HEADER}{row}\n")


class TestLlmServingSim:
    @staticmethod
    def row(arrival: int, prompt: list[int], answer: list[int]) -> dict[str, object]:
        tokens = {"input_tok_ids": prompt, "output_tok_ids": answer}
        return {"input_toks": len(prompt), "output_toks": len(answer), "arrival_time_ns": arrival, **tokens}

    def test_nanoseconds_and_turns_that_share_what_was_said(self, read) -> None:
        first, answer = list(range(40)), list(range(100, 130))
        again = self.row(1_500_000_000, [*first, *answer, 7, 8], [9])
        one, other = read(lines(self.row(46926808, first, answer), again), "trace.jsonl")
        assert [one.arrival_s, other.arrival_s] == [0.0, 1.453073192]
        kept, wanted = one.segments(40 + 30), other.segments(72)
        alike = sum(tokens for (name, tokens), (found, _) in zip(kept, wanted, strict=False) if name == found)
        assert alike == 64  # all whole blocks of 16 of the 70 tokens of the first turn

    def test_blocks_are_told_apart_by_all_before_them(self) -> None:
        assert chained([1] * 16 + [2] * 16)[1] != chained([3] * 16 + [2] * 16)[1]
        assert chained([1] * 40)[:2] == chained([1] * 33)[:2]
        assert all(0 <= each < 2**63 for each in chained(list(range(100))))

    def test_as_many_tokens_as_are_said(self, read) -> None:
        wrong = {**self.row(0, [1, 2], [3]), "input_toks": 3}
        with pytest.raises(ConfigError, match=r"jsonl:1: input_tok_ids: found 2, expected as many"):
            read(lines(wrong), "trace.jsonl")

    def test_without_tokens_nothing_is_known_of_prefixes(self, read) -> None:
        (only,) = read('{"input_toks": 3, "output_toks": 1, "arrival_time_ns": 5}\n', "trace.jsonl")
        assert (only.arrival_s, only.segments(4)) == (0.0, ())

    def test_sessions_are_chains_and_may_stand_beside_single_requests(self, read) -> None:
        calls = [
            {"input_toks": 100, "output_toks": 10, "tool_duration_ns": 127_000_000},
            {"input_toks": 150, "output_toks": 20, "tool_duration_ns": 0},
        ]
        session = {"session_id": "task-0", "arrival_time_ns": 2_000_000_000, "sub_requests": calls}
        single = {"input_toks": 5, "output_toks": 1, "arrival_time_ns": 3_000_000_000}
        for records in ((session, single), ({**single, "arrival_time_ns": 2_000_000_000}, session)):
            requests = read(lines(*records), "trace.jsonl")
            chain = [each for each in requests if each.session_id == "task-0"]
            assert [(each.arrival_s, each.think_s) for each in chain] == [(0.0, None), (0.0, 0.127)]
            assert len(requests) == 3


def test_vllm_logs_two_clocks_of_which_one_is_of_arrivals(read) -> None:
    first = {"request_id": "bench-0", "input_toks": 2358, "output_toks": 531, "arrival_time": 1787267980.0}
    other = {**first, "request_id": "bench-1", "arrival_time": 1787267980.25}
    clocks = {"queued_ts": 27536.66, "scheduled_ts": 27536.67, "first_token_ts": 27537.35, "last_token_ts": 27554.2}
    requests = read(lines({**first, **clocks}, {**other, **clocks}), "trace.jsonl")
    assert shapes(requests) == [(0.0, 2358, 531), (0.25, 2358, 531)]
    assert [each.request_id for each in requests] == ["bench-0", "bench-1"]


def test_a_measured_run_is_one_of_a_file(read) -> None:
    header = "source,device,model,request,input_len,output_len,arrival_s,last_token_s\n"
    text = f"{header}run,H100,llama,7,100,10,3.5,9\nrun,H100,llama,8,200,20,4,9\n"
    requests = read(text)
    assert shapes(requests) == [(0.0, 100, 10), (0.5, 200, 20)]
    assert [(each.request_id, each.model) for each in requests] == [("7", "llama"), ("8", "llama")]
    with pytest.raises(ConfigError, match=r"csv:4: device: found 'A100', expected 'H100' as above"):
        read(f"{text}run,A100,llama,0,1,1,0,9\n")


class TestShareGpt:
    TALK = (
        {"from": "human", "value": "a" * 40},
        {"from": "gpt", "value": "b" * 20},
        {"from": "human", "value": "c" * 9},
        {"from": "gpt", "value": "é" * 4},
        {"from": "human", "value": "never answered"},
    )

    @pytest.mark.parametrize("file", ["talk.json", "talk.jsonl"])
    def test_a_prompt_has_all_that_was_said_before(self, file: str, tmp_path: Path, read) -> None:
        talk = {"id": "QWJhYvA_0", "conversations": self.TALK}
        requests = read(json.dumps([talk, talk], indent=1) if file == "talk.json" else lines(talk, talk), file)
        assert [(each.input_tokens, each.output_tokens) for each in requests[:2]] == [(10, 5), (10 + 5 + 3, 2)]
        assert [(each.context_tokens, each.think_s) for each in requests[:2]] == [(0, None), (15, 0)]
        assert requests[1].segments(18) == (("QWJhYvA_0", 18),)
        assert len(requests) == 4
        assert not open_trace(tmp_path / file).timed

    def test_what_the_bot_says_first_is_part_of_the_first_prompt(self, read) -> None:
        talk = {"id": "x", "conversations": [{"from": "gpt", "value": "hi!!" * 3}, *self.TALK[:2]]}
        assert [(each.input_tokens, each.output_tokens) for each in read(lines(talk), "talk.jsonl")] == [(13, 5)]

    def test_a_list_that_is_cut_off(self, read) -> None:
        whole = json.dumps([{"id": "x", "conversations": self.TALK}] * 2)
        with pytest.raises(ConfigError, match=r"talk\.json: row 2: not JSON, or cut off"):
            read(whole[:-20], "talk.json")
        assert len(read(whole[:-20], "talk.json", skip_bad=True)) == 2
