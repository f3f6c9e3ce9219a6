"""Requests of a scenario: what is served, by which service, what they saw and what that spends."""
