"""What has become of rejected rows, as the tables `quarantine` and `decisions` tell together."""

from __future__ import annotations

import polars as pl

from quantx.core.tables import DECISIONS


def with_states(rows: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """Add to rows of `quarantine` their state, and who has decided why and when (reason, by, decided_at).

    accepted: curated, since somebody has said so; replayed: it passes under the rules of now; open: rejected.
    """
    key = list(DECISIONS.key)
    decided = decisions.select(*key, "reason", "by", decided_at="known_from")
    return rows.join(decided, on=key, how="left", nulls_equal=True).with_columns(
        pl.when(pl.col("by").is_not_null())
        .then(pl.lit("accepted"))
        .when(pl.col("passed").is_not_null())
        .then(pl.lit("replayed"))
        .otherwise(pl.lit("open"))
        .alias("state")
    )


def once_each(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each row once, the newest first, however many policies have quarantined it: the newest one counts."""
    newest = rows.sort("known_from", "policy", "symbol", "date", descending=[True, True, False, True], nulls_last=True)
    return newest.unique(list(DECISIONS.key), keep="first", maintain_order=True)
