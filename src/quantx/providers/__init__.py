"""Adapters of vendors: one module each, behind one protocol."""
