"""The state in PostgreSQL: tasks, leases, stored replies, coverage and gaps. It is the truth about work."""
