"""Features: built from the curated tables, and stored."""
