"""The schema's versions, each one file, and the rights on it."""
