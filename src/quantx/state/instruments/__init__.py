"""Instruments: the symbol history, for planning."""
