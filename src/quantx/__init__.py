"""QuantX Data Builder: market data that one quant owns and can trust.

`open_lake` reads, `DataOperations` fetches.

>>> import quantx
>>> lake = quantx.open_lake("file:///data/lake")  # doctest: +SKIP
>>> lake.bars(["AAPL", "0700.HK"], start="2020-01-01", adjust="total")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantx.errors import IncompleteData
    from quantx.operations import DataOperations
    from quantx.reader import Lake, open_lake
    from quantx.reader.provenance import provenance

__version__ = "0.2.0.dev0"
__all__ = ["DataOperations", "IncompleteData", "Lake", "__version__", "open_lake", "provenance"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: entry points that only plan must not pay for Polars."""
    if name == "DataOperations":
        from quantx.operations import DataOperations

        return DataOperations
    if name == "IncompleteData":
        from quantx.errors import IncompleteData

        return IncompleteData
    if name in ("open_lake", "Lake"):
        from quantx import reader

        return getattr(reader, name)
    if name == "provenance":
        from quantx.reader.provenance import provenance

        return provenance
    raise AttributeError(f"module 'quantx' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, also those that are not imported yet."""
    return __all__
