"""Statistics of latencies and of accuracy: pure functions on numbers, no clock and no device."""
