"""A mesh whose processes, files and clocks are attacked at random under honest traffic: `python -m tests.chaos`."""
