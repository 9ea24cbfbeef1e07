"""Reports: computed from records, and from nothing else."""
