"""A mesh under mixed traffic for as long as one likes, watched for what grows: `python -m tests.soak --minutes 30`."""
