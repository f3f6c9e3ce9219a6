"""Which design is best? A base scenario, what varies of it, and what is looked up in what came out."""
