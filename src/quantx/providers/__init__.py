"""The vendors: one module each, behind one protocol."""
