"""Is it true? Experiments, and their results beside published ones."""
