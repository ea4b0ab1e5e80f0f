"""Features: declared, versioned functions of curated data. Pure: no I/O, no clock."""
