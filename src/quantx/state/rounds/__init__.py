"""Rounds: which stored replies the curator commits together."""
