"""PostgreSQL: what is planned, leased, landed, covered and believed to be missing. The truth about work."""
