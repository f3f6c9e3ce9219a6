"""The libraries of the extra `explore`, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from simulator.errors import ConfigError


def extra(module: str, install: str = "'tiersim[explore]'") -> Any:
    """A module of an optional library; `install` is what pip needs to be told.

    Raises:
        ConfigError: the library, or what it needs in turn, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        needs = error.name or module
        raise ConfigError(f"this needs {needs.partition('.')[0]}", expected=f"pip install {install}") from None
