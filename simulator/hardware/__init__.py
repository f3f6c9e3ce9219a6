"""What is the machine? Its YAML, and the system of tiers, engines and links that it describes."""

from __future__ import annotations

from simulator.hardware.bundles import bundle_seconds
from simulator.hardware.machine import Device, Engine, Fabric, Link, Machine, Port, Tier
from simulator.hardware.system import System, load_system

__all__ = ["Device", "Engine", "Fabric", "Link", "Machine", "Port", "System", "Tier", "bundle_seconds", "load_system"]
