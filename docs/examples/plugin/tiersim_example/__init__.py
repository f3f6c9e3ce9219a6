"""What tiersim imports by its entry point: the modules that register."""

from tiersim_example import attention_in_memory, lru_2

__all__ = ["attention_in_memory", "lru_2"]
