"""The command `tiersim`: one file a command, each a thin layer over the public surface.

To answer at once, a command imports what it needs when it runs: its module knows typer and little else.
"""

from __future__ import annotations

from simulator.cli.app import main

__all__ = ["main"]
