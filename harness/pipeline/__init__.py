"""What a pipeline is: its declaration, its wiring and the Python files that it names."""
