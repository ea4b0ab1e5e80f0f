"""The Series page as values: what the URL requests, the chart, the tables, and the provenance of a point."""
