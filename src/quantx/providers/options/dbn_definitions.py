"""Rows of options_contracts from definitions, and the definitions that contradict their own symbol."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np
import polars as pl

from quantx.providers.options.dbn_rows import Block, Index, instants, prices, rejected, texts
from quantx.providers.options.kinds import empty_rows
from quantx.providers.options.protocol import OptionBatch

_UNDEFINED = np.iinfo(np.int32).max
CONTRADICTION = "the definition's symbol, expiration, right or strike is not that of its contract"


class Definitions:
    """Terms of contracts: those of the vendor where it states them, else those of the root."""

    def __init__(self, contracts: pl.DataFrame) -> None:
        self._contracts = contracts

    def take(self, day: date, block: Block, index: Index) -> Iterator[OptionBatch]:
        """Yield the definitions of a day."""
        stated = pl.DataFrame(
            {
                "contract_index": index.astype(np.uint32),
                "symbol": texts(block["raw_symbol"]),
                "expires": instants(block["expiration"]).dt.date(),
                "class": texts(block["instrument_class"]),
                "price": prices(block["strike_price"]),
                "units": block["contract_multiplier"].astype(np.float64),
            }
        ).with_columns(pl.when(pl.col("units").is_between(0, _UNDEFINED, closed="none")).then("units").alias("units"))
        both = pl.concat([self._contracts[index], stated], how="horizontal")
        fits = both.select(
            (pl.col("symbol").str.replace_all(" ", "") == pl.col("contract"))
            & pl.col("expires").eq_missing(pl.col("expiration"))
            & (pl.col("class") == pl.col("right"))
            & pl.col("price").eq_missing(pl.col("strike"))
        ).to_series()
        rows = both.filter(fits).with_columns(
            multiplier=pl.coalesce("units", "multiplier"),
            # The deliverable of a root is that of its own multiplier.
            deliverable=pl.when(pl.coalesce("units", "multiplier") == pl.col("multiplier")).then("deliverable"),
            first_date=pl.lit(day),
        )
        wrong = ~fits.to_numpy()
        reasons = pl.repeat(CONTRADICTION, int(wrong.sum()), eager=True)
        refused = rejected(block[wrong], reasons) if wrong.any() else None
        yield OptionBatch(date=day, rows=rows.select(empty_rows("contracts").columns), rejected=refused)

    def rest(self) -> Iterator[OptionBatch]:
        """Yield nothing: each day is complete when it is taken."""
        yield from ()
