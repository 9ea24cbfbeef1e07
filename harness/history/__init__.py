"""History across commits: what asv is handed, its results, and queries over the records."""
