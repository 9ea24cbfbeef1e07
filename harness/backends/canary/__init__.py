"""Frozen work, timed in every run: a machine's drift shows in it, the code's does not."""
