"""How weights and keys and values are stored."""
