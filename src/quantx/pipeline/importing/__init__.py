"""Import files that people have: find them, understand them, store them as replies, and curate them."""
