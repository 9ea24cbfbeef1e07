"""What a machine's noise is, and what a gate can tell in it."""
