"""Rules about the system's own work; what breaks one is a finding."""

EVENTS_MISSING = "events_missing"
