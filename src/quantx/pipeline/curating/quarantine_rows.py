"""The quarantine rows of rejected bars and replies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from quantx.core.prices import PRICES
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.table import Table
from quantx.core.tables import QUARANTINE

_DECIMALS = 6  # without the noise of the last bits, the same row is equal each time


def rejected_bars(
    rejected: pl.DataFrame, sent: pl.DataFrame, source: str, table: Table, policy: RowPolicy
) -> pl.DataFrame:
    """Return the quarantine rows of bars, in their order.

    `rejected` are the bars as traded, with their rules and the facts of their reply; `sent` are all values of the same
    rows as the vendor sent them.
    """
    quoted = pl.struct("time", *(pl.col(c).round(_DECIMALS) for c in (*PRICES, "volume")))
    return rejected.with_columns(
        pl.lit(source).alias("source"),
        pl.lit(table.name).alias("dataset"),
        quoted.struct.json_encode().alias("row"),
        pl.lit(policy.rules.version, pl.Int32).alias("policy"),
        sent.select(pl.struct(pl.all()).struct.json_encode().alias("sent")).to_series(),
        pl.lit(None, pl.Int32).alias("passed"),
    ).select(list(QUARANTINE.schema))


def rejected_replies(replies: Iterable[Mapping[str, object]], policy: RowPolicy) -> pl.DataFrame:
    """Return the quarantine rows of whole replies.

    Each has source, dataset, symbol, rules, row (the reason), raw and known_from.
    """
    rows = [{**reply, "policy": policy.rules.version} for reply in replies]
    return pl.DataFrame(rows, schema=dict(QUARANTINE.schema))
