"""Instruments: which symbol each carried, and when."""
