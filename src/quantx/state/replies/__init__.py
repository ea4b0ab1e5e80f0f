"""Stored replies that were curated, for deriving the tables again."""
