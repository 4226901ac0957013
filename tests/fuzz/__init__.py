"""What reads bytes that others wrote, given bytes that nobody would write: each target is a function that must hold
whatever it is given. The suite gives it damaged messages; `python -m tests.fuzz NAME` searches on, led by coverage."""
