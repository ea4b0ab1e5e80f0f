"""Quotas: the rate limit and the back-off of each vendor."""
