"""The query interface: frames from the lake, adjusted, and as known at any time. It needs no database."""

from quantx.reader.lake import Lake, open_lake

__all__ = ["Lake", "open_lake"]
