"""Kinds of memory, one file for each that differs from others in more than its figures."""
