"""QuantX Data Builder: market data that one quant owns and can trust.

>>> import quantx
>>> lake = quantx.open_lake("file:///data/lake")  # doctest: +SKIP
>>> lake.bars(["AAPL", "0700.HK"], start="2020-01-01", adjust="total")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantx.reader import Lake, open_lake

__version__ = "0.1.0"
__all__ = ["Lake", "__version__", "open_lake"]


def __getattr__(name: str) -> Any:
    """Import the reader on first use: entry points that only plan must not pay for Polars."""
    if name in ("open_lake", "Lake"):
        from quantx import reader

        return getattr(reader, name)
    raise AttributeError(f"module 'quantx' has no attribute {name!r}")
