"""Facts about companies: when they were public, how they changed, and the standard concepts made of them. Pure."""
