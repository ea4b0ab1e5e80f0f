"""The versions of the schema, one file each, and the rights on it."""
