"""Alerts: conditions over time, the outbox of messages, and the facts from which conditions follow."""
