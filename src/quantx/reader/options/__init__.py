"""Queries of options: chains, series of quotes, expirations and open interest."""
