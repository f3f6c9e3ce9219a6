"""Where keys and values of sequences lie: stores of blocks."""
