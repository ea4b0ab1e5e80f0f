"""Runs and their totals."""
