"""Libraries that only some of the program needs, each installed by an extra of ours."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from simulator.errors import ConfigError


def imported(module: str, extra: str, purpose: str) -> Any:
    """A library that an extra installs, imported.

    Raises:
        ConfigError: it is not installed (`missing`).
    """
    try:
        return import_module(module)
    except ImportError:
        raise missing(module, extra, purpose) from None


def missing(module: str, extra: str, purpose: str) -> ConfigError:
    """What a library that is not installed is needed for, and the command that installs it."""
    return ConfigError(f"{purpose} needs {module}", expected=f"pip install 'tiersim[{extra}]'")
