"""Kernels of a GPU: their time by shape, on a chip, as a library makes them."""
