"""The machine at hand, made of what was measured of it, and how true it is."""
