"""Landed replies become rows: normalize, check, merge, one commit per table."""
