"""What a user got wrong, said so that the user can put it right: the command prints the text and exits with 2."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

MOST_NAMED, ALIKE = 20, 8
"""Names that a message lists in full, and those it lists of more of them."""


class TiersimError(Exception):
    """A user's mistake, or a design that cannot work; never a fault of the program."""


class ConfigError(TiersimError):
    """Something in a file or an option is wrong.

    Its text is ``file:line: key.path: message: found X, expected Y; did you mean 'Z'?``, less the parts not given.
    """

    def __init__(
        self,
        message: str = "",
        *,
        file: Path | str | None = None,
        line: int | None = None,
        path: str | Sequence[str | int] | None = None,
        found: object = None,
        expected: str | None = None,
        nearest: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.path = path
        self.found = found
        self.expected = expected
        self.nearest = nearest
        super().__init__(str(self))

    def __str__(self) -> str:
        place = _short(self.file) + (f":{self.line}" if self.file and self.line else "")
        path = self.path if isinstance(self.path, str) else dotted(self.path or ())
        found = "" if self.found is None else f"found {self.found}"
        expected = f"expected {self.expected}" if self.expected else ""
        detail = ", ".join(filter(None, (found, expected)))
        text = ": ".join(filter(None, (place, path, self.message, detail)))
        return text + (f"; did you mean '{self.nearest}'?" if self.nearest else "")


class UnitError(ConfigError):
    """Not a number, or a number in the wrong unit."""


class TiersimWarning(UserWarning):
    """Something in a file or an option that can be computed, and is probably not what was meant.

    Its text is that of the `problem`, as an error would have it.
    """

    def __init__(self, problem: ConfigError) -> None:
        self.problem = problem
        super().__init__(str(problem))

    def __reduce__(self) -> tuple[object, ...]:
        return TiersimWarning, (self.problem,)


def warn(problem: ConfigError) -> None:
    """Tell a problem as a `TiersimWarning`, in the way of Python's `warnings`."""
    warnings.warn(TiersimWarning(problem), stacklevel=3)


def unwarned() -> AbstractContextManager[object]:
    """A context in which no `TiersimWarning` is told: what varies in it is the program's choice, or told before."""
    return warnings.catch_warnings(action="ignore", category=TiersimWarning)


class CapacityError(TiersimError):
    """Something does not fit: what is `needed` and `available`, in bytes or another `unit`, and what is the remedy."""

    def __init__(self, what: str, *, needed: float, available: float, remedy: str, unit: str = "B") -> None:
        self.what = what
        self.needed = needed
        self.available = available
        self.remedy = remedy
        self.unit = unit
        least, most = (_bytes(each) if unit == "B" else f"{each:,.0f} {unit}" for each in (needed, available))
        super().__init__(f"{what}: needs {least}, there are {most}; {remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        again = partial(CapacityError, needed=self.needed, available=self.available, remedy=self.remedy, unit=self.unit)
        return again, (self.what,)


def unknown(name: str, known: Iterable[str], message: str = "", **where: Any) -> ConfigError:
    """The error of a name that is none of those that are known, with the nearest of them.

    `where` are the file, line and path, and what else it says otherwise of what was found or expected.
    """
    names = list(known)
    details: dict[str, Any] = {"found": f"'{name}'", "expected": one_of(names, name), "nearest": nearest(name, names)}
    return ConfigError(message, **{**details, **where})


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that a person who typed `name` most likely meant; None if none is close."""
    close = _close(name, names, 1)
    return close[0] if close else None


def one_of(names: Iterable[str], name: str = "") -> str:
    """The names to choose from, as a message says what it expected: of very many, those that are like `name`."""
    known = list(names)
    if len(known) > MOST_NAMED:
        alike = [each for each in known if name and name.casefold() in each.casefold()]
        if alike := list(dict.fromkeys([*alike, *_close(name, known, ALIKE)]))[:ALIKE]:
            return f"one of {len(known)} names, such as {', '.join(alike)}"
    return f"one of {', '.join(known)}" if len(known) > 1 else f"'{known[0]}'" if known else "none: there are no names"


def _close(name: str, names: Iterable[str], most: int) -> list[str]:
    import difflib

    by_folded = {candidate.casefold(): candidate for candidate in names}
    return [by_folded[each] for each in difflib.get_close_matches(name.casefold(), by_folded, n=most, cutoff=0.6)]


def dotted(path: Sequence[str | int]) -> str:
    """A key path as a user types it: ``tiers.hbm.bandwidth``; a name with a dot in it is quoted."""
    return ".".join(f'"{key}"' if isinstance(key, str) and "." in key else str(key) for key in path)


def described(value: object) -> str:
    """What was found, in a few words: text in quotes, a number as it is, a mapping or a list by its kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 256:  # of more digits than Python writes, perhaps
        return f"a whole number of {value.bit_length():,} bits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _short(file: Path | str | None) -> str:
    """The path from here, where the file lies below the current folder."""
    if isinstance(file, Path) and file.is_absolute() and file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    return str(file or "")


def _bytes(count: float) -> str:
    """Decimal gigabytes for the eye, and every byte where they are whole: a design may miss by one."""
    exact = f"{count:,.0f} B"
    if count < 1e6:
        return exact
    return f"{count / 1e12:,.4g} TB ({exact})" if count >= 1e13 else f"{count / 1e9:,.4g} GB ({exact})"
