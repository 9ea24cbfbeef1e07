"""Two sides held against each other: what is measured of both, and the verdicts."""
