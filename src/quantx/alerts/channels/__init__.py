"""Channels: each sends a message to one receiver, or raises `NotDelivered`."""
