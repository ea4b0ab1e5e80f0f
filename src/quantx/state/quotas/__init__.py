"""Quotas: requests to a vendor, shared by all workers."""
