"""Universes: named lists of symbols with membership through time."""
