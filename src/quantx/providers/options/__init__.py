"""Forms of option archives: one module per form, which reads members and yields their rows in batches."""
