"""An error found by a validator of a form, in the shape in which pydantic hands it on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic_core import PydanticCustomError

from simulator.errors import ConfigError


@contextmanager
def refused(*at: str) -> Iterator[None]:
    """Have a validator tell an error of what it makes, at the key `at` below it or at the error's own path.

    An error of another file is told whole.
    """
    try:
        yield
    except ConfigError as error:
        on = () if error.path is None else (error.path,) if isinstance(error.path, str) else tuple(error.path)
        parts = {"message": error.message, "found": error.found, "expected": error.expected, "nearest": error.nearest}
        if error.file is not None:
            on, parts = (), {"message": str(error)}
        raise PydanticCustomError("name", "refused", {"at": (*at, *on), **parts}) from None
