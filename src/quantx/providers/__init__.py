"""Adapters of vendors, behind one protocol; `registry` opens them by their source."""
