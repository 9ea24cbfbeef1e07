"""What is made once and kept: exported graphs, in a cache keyed on their content."""
