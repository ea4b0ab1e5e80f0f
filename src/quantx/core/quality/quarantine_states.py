"""The states and the ids of rejected rows, from the tables `quarantine` and `decisions`."""

from __future__ import annotations

import hashlib

import polars as pl

from quantx.core.tables import DECISIONS


def with_states(rows: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """Add the state to rows of `quarantine`, and the decision about them (reason, by, decided_at).

    accepted: curated by a manual override; replayed: it passes the current rules; open: rejected.
    """
    key = list(DECISIONS.key)
    overrides = decisions.select(*key, "reason", "by", decided_at="known_from")
    return rows.join(overrides, on=key, how="left", nulls_equal=True).with_columns(
        pl.when(pl.col("by").is_not_null())
        .then(pl.lit("accepted"))
        .when(pl.col("passed").is_not_null())
        .then(pl.lit("replayed"))
        .otherwise(pl.lit("open"))
        .alias("state")
    )


def with_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the id of each rejected row: the digest of its values, whichever rules it breaks."""
    texts = rows.select(pl.concat_str([pl.col(c).cast(pl.String).fill_null("") for c in DECISIONS.key], separator="\n"))
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts.to_series()]
    return rows.with_columns(pl.Series("id", digests, dtype=pl.String))


def newest_of_each(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each row once, the newest first: as quarantined by the newest policy."""
    newest = rows.sort("known_from", "policy", "symbol", "date", descending=[True, True, False, True], nulls_last=True)
    return newest.unique(list(DECISIONS.key), keep="first", maintain_order=True)
