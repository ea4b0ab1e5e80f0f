"""Series: the coverage of each, and its watermark."""
