"""Schedulers: which requests an iteration computes."""
