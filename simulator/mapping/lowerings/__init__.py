"""How each kind of engine runs a block of a model, one file for each way."""
