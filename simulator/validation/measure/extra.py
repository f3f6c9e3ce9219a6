"""Libraries that only some of the measuring needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from simulator.errors import ConfigError


def extra(module: str, name: str) -> Any:
    """A library that an extra of ours installs.

    Raises:
        ConfigError: it is not installed; with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(f"measuring needs {module}", expected=f"pip install 'tiersim[{name}]'") from None
