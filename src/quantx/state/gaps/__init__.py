"""Gaps: missing sessions, until filled or explained."""
