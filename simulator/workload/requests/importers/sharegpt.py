"""Conversations of people with a chatbot, as ShareGPT collected them: text, and no times.

A turn is what the person says and what the bot answers; its prompt is all that was said before, too. How many tokens a
text is, only a model's tokenizer knows: a token is counted for every 4 bytes, the rule of thumb for English text
(OpenAI, "What are tokens and how to count them?"), and at least one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.errors import ConfigError, described
from simulator.registry import register
from simulator.workload.requests.importers import Importer

BYTES_PER_TOKEN = 4
PERSON, BOT, SYSTEM = {"human", "user"}, {"gpt", "chatgpt", "bing", "bard", "assistant", "model"}, {"system"}


def turns(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The turns of a conversation that were answered; what the bot said first belongs to the first prompt."""
    context, question, turn = 0, 0, 0
    for message in record.get("conversations") or ():
        speaker, tokens = _message(message)
        if speaker not in BOT:
            question += tokens
        elif turn == 0 and not question:
            question = tokens
        else:
            prompt = context + question
            session = {"session": record.get("id"), "context": context, "waits": None if turn == 0 else 0}
            yield {"input": prompt, "output": tokens, **session}
            context, question, turn = prompt + tokens, 0, turn + 1


def _message(message: Any) -> tuple[str, int]:
    """Who says something, and how many tokens it is."""
    if not isinstance(message, dict):
        raise ConfigError(path="conversations", found=described(message), expected="an object for each message")
    speaker, text = message.get("from", message.get("role")), message.get("value", message.get("content"))
    if not isinstance(text, str):
        raise ConfigError(path="conversations", found=described(text), expected="a text in each message")
    if speaker not in PERSON | BOT | SYSTEM:
        raise ConfigError(path="conversations", found=described(speaker), expected="from: human or gpt")
    return speaker, max(1, -(-len(text.encode()) // BYTES_PER_TOKEN))


register("requests", "sharegpt")(
    Importer(
        {
            "input_tokens": "input",
            "output_tokens": "output",
            "session_id": "session",
            "context_tokens": "context",
            "think_s": "waits",
        },
        known_by=["conversations"],
        expand=turns,
    )
)
