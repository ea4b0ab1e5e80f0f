"""The dashboard: pages, actions and data over HTTP. Pages read stored tables and reports, and compute nothing heavy."""
