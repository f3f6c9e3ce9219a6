"""The charts that a study's YAML may ask for: a file a kind, with its form."""
