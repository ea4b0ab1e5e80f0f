"""Findings: open until acknowledged or resolved."""
