"""Derive the curated tables again from the raw zone, and review rejected rows."""
