"""`python -m simulator` is the command `tiersim`."""

from __future__ import annotations

from simulator.cli import main

main()
