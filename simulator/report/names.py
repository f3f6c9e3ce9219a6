"""How machines and figures are called in print, and the order that figures stand in."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MODEL = re.compile(r"[a-z]{1,3}|[a-z]{1,2}\d\w*")


def machine(name: str) -> str:
    """`dgx-a100` is DGX A100, `sn40l-node` is SN40L node."""
    return " ".join(word.upper() if _MODEL.fullmatch(word) else word for word in name.split("-"))


def model(name: str) -> str:
    """`llama-3.1-8b` is Llama-3.1-8B, `mixtral-8x7b` Mixtral-8x7B, `opt-6.7b` OPT-6.7B."""
    words = (word.upper() if word[:1].isdigit() or word == "opt" else word.capitalize() for word in name.split("-"))
    return re.sub(r"(?<=\d)X(?=\d)", "x", "-".join(words))


def kernel(name: str, most: int = 56) -> str:
    """A kernel of many operators by its first and its last: `attention.norm .. ffn.gate_proj (13)`."""
    first, *others = name.split("+")
    return name if len(name) <= most or not others else f"{first} .. {others[-1]} ({len(others) + 1})"


def figure(name: str) -> str:
    """`12a` is Fig. 12a; `Table V` and `Section VI` say what they are."""
    return f"Fig. {name}" if name[:1].isdigit() else name


def figures(names: Iterable[str]) -> str:
    """Some figures, each once and in order: Fig. 12a, Fig. 12b, Table V."""
    return ", ".join(map(figure, sorted(set(names), key=order)))


def order(name: str) -> tuple[bool, int, str]:
    """Sorts numbered figures by number, then tables, then the text."""
    number = re.match(r"\d+", name)
    return (number is None, int(number[0]) if number else -name.startswith("Table"), name)
