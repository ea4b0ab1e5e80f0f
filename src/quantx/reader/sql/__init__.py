"""SQL on a lake: DuckDB reads the files of pinned versions; queries can read tables and nothing else."""
