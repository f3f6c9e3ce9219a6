"""All points of a run: axes, their values and conditions, and the expressions over them."""
