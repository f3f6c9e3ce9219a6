"""Measured data: the two forms that it takes, what brings it into them, which rows are wrong, which stay held out."""
