"""Series: what was answered of each, and its watermark."""
