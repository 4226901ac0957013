"""Attacks on a running gateway by load and slowness, and an honest client beside them: `python -m tests.attack`."""
