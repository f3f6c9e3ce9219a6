"""Constants of GPU kernels from what was measured."""
