"""Attacks on a running gateway, or two sidecars, by load and slowness, and an honest client beside them: `python -m
tests.attack`."""
