"""A step of training on a machine: where its state lies, what it keeps, and when it is done."""
