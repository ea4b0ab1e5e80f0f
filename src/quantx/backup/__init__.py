"""Backups: copies of the lake and the state outside of both, and their restore."""
