"""Deletion for good: a vendor's data leaves the lake, the state and the raw zone, and does not return."""
