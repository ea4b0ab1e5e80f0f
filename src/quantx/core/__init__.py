"""Vocabulary and rules of the domain: pure, without I/O, clock or environment."""
