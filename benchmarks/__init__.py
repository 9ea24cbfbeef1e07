"""asv's suites: what is tracked of every commit; see docs/history.md.

asv imports them in each commit's environment, so that they use the standard library alone.
"""
