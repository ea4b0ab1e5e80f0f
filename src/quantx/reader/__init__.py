"""What users query: frames from the lake, adjusted and as known at any moment. No database is needed."""

from quantx.reader.lake import Lake, open_lake

__all__ = ["Lake", "open_lake"]
