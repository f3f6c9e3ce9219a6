"""Which design is best? Sweeps and searches over a space of designs, and the answers drawn from them."""
