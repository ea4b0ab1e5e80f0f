"""Tasks: units of fetching, planned once, leased to one worker at a time."""
