"""Universes: named lists of symbols."""
