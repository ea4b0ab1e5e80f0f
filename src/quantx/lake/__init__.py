"""The lake: an object store with immutable payloads and curated Delta tables."""
