"""Deletion of a vendor's data from the state."""
