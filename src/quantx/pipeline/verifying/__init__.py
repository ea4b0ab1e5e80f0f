"""Find damaged objects in the lake, and repair what the raw zone, the log or a digest proves."""
