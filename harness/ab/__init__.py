"""Two commits against each other: fresh processes that take turns."""
