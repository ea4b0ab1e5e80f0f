"""Data over HTTP: the queries of the Python interface as addresses below /api/v1/, read-only and bounded."""
