"""Claim tasks, fetch within the rate limit, and land the replies in the raw zone."""
