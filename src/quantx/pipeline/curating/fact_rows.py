"""Facts by the row rules: accepted facts once each, rejected ones as quarantine rows."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quantx.core.fact_datasets import FactDataset
from quantx.core.fundamentals.acceptance import BY_VENDOR, FILED_DAY, public_or_filed_day
from quantx.core.quality.row_policy import RowPolicy, known_from
from quantx.core.quality.rule import Checked, split_by
from quantx.core.symbols import venue_of
from quantx.core.tables import QUARANTINE


def check_facts(facts: pl.DataFrame, dataset: FactDataset, policy: RowPolicy) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the facts that the rules or a manual decision accept, and the quarantine rows of the others.

    `facts` are the columns of the dataset's frame with source, symbol, raw, payload_sha256 and known_from. A fact that
    one filing repeats with the same value is returned once.
    """
    key = [name for name in dataset.table.key if name in facts.columns]
    facts, differs = _once(facts, key, dataset.value)
    rules = policy.rules.facts.get(dataset.name, dataset.rules)
    checked = split_by(facts.with_columns(differs.alias("differs_in_filing")), rules)
    if checked.rejected.is_empty():
        return facts, QUARANTINE.empty()
    checked = Checked(checked.accepted.drop("differs_in_filing"), checked.rejected.drop("differs_in_filing"))
    rejected = _rejected(checked.rejected, dataset, policy)
    accepted = policy.accepted_rows(checked, rejected, key).with_columns(known_from())
    return accepted.drop("decided"), rejected


def public_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with `public_at` (UTC) and `public_how`.

    A row whose vendor sends no instant is public at the end of its day of filing, in the zone of its market.
    """
    zones = {symbol: venue_of(symbol).timezone for symbol in rows["symbol"].unique()}
    parts = [rows.clear().with_columns(pl.lit(None, pl.String).alias("public_how"))]
    of_zone = pl.col("symbol").replace_strict(zones, return_dtype=pl.String)
    for (zone,), part in rows.group_by(of_zone, maintain_order=True):
        how = pl.when(pl.col("public_at").is_null()).then(pl.lit(FILED_DAY)).otherwise(pl.lit(BY_VENDOR))
        parts.append(part.with_columns(how.alias("public_how"), public_or_filed_day(str(zone))))
    return pl.concat(parts)


def _once(facts: pl.DataFrame, key: Sequence[str], value: str) -> tuple[pl.DataFrame, pl.Series]:
    """Return the facts without equal repetitions, and which of them one filing reports with another value, too."""
    # Hashes first: hardly any fact is repeated, and a key has eight columns.
    suspect = facts.select(pl.struct(key).hash()).to_series().is_duplicated()
    if not suspect.any():
        return facts, suspect
    numbered = facts.with_row_index("nth")
    kept = numbered.filter(suspect).unique([*key, value], keep="first", maintain_order=True)
    twice = kept.filter(pl.struct(key).is_duplicated())["nth"]
    numbered = numbered.filter(~suspect | pl.col("nth").is_in(kept["nth"].implode()))
    return numbered.drop("nth"), numbered["nth"].is_in(twice.implode())


def _rejected(rejected: pl.DataFrame, dataset: FactDataset, policy: RowPolicy) -> pl.DataFrame:
    """Return the quarantine rows of facts, in their order; `date` is their own, the end of the period or the filing."""
    quoted = pl.struct(name for name in dataset.columns if name in rejected.columns)
    days = [name for name in ("date", "end", "filed") if name in dataset.table.schema]
    return rejected.with_columns(
        pl.lit(dataset.table.name).alias("dataset"),
        pl.coalesce(*days, pl.col("known_from").dt.date()).alias("date"),
        quoted.struct.json_encode().alias("row"),
        pl.lit(policy.rules.version, pl.Int32).alias("policy"),
        pl.lit(None, pl.String).alias("sent"),
        pl.lit(None, pl.Int32).alias("passed"),
    ).select(list(QUARANTINE.schema))
