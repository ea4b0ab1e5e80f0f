"""Alerts: transitions of the platform's health, an outbox in the state, and the channels that send it."""
