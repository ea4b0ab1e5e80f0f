"""The lake: an object store with immutable raw payloads and curated Delta tables."""
