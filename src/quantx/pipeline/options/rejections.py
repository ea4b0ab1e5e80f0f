"""The rejected rows of a member: one quarantine row for each contract, session and set of broken rules.

A minute that is wrong is seldom alone: a row for each would make quarantine larger than the table. The first row stands
there in full, with the number of the rows and the time of the last one; all of them are in the archive.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from quantx.core.quality.option_rules import UNUSABLE_ROW
from quantx.core.quality.rule import POLICY_VERSION
from quantx.core.table import Table
from quantx.core.tables import QUARANTINE
from quantx.pipeline.options.sorted_runs import RANK

MOST_UNUSABLE = (
    1_000  # rows without a contract or a value that stand in quarantine, by session and reason; the others are counted
)

_KEY = ["date", RANK, "rules"]


@dataclass
class Rejections:
    """Collects rejected rows; the memory does not grow with their number."""

    rows: int = 0
    _groups: list[pl.DataFrame] = field(default_factory=list)
    _unusable: list[pl.DataFrame] = field(default_factory=list)
    _seen: Counter[tuple[date, str]] = field(default_factory=Counter)

    def add(self, day: date, rows: pl.DataFrame) -> None:
        """Add rows of contracts, with the ids of the broken rules in `rules`."""
        if rows.is_empty():
            return
        self.rows += rows.height
        values = [c for c in rows.columns if c not in (RANK, "rules", "date", "in_session", "lowest", "highest")]
        until = pl.col("time").max() if "time" in rows.columns else pl.lit(None, pl.Datetime("us", "UTC"))
        groups = rows.group_by(RANK, "rules", maintain_order=True).agg(
            pl.len().cast(pl.Int64).alias("rows"), until.alias("until"), pl.col(values).first()
        )
        quoted = pl.struct(values).struct.json_encode().alias("row")
        self._groups.append(groups.select(pl.lit(day).alias("date"), RANK, "rules", "rows", "until", quoted))
        if len(self._groups) > 64:
            self._groups = [self._grouped()]

    def add_unusable(self, day: date, rows: pl.DataFrame) -> None:
        """Add rows that name no contract, or that the form refuses: `reason`, and `row` as JSON."""
        self.rows += rows.height
        for (reason,), part in rows.group_by("reason", maintain_order=True):
            seen = self._seen[day, str(reason)]
            self._seen[day, str(reason)] += part.height
            self._unusable.append(part.head(max(0, MOST_UNUSABLE - seen)).with_columns(pl.lit(day).alias("date")))

    def quarantine(
        self, contracts: pl.DataFrame, table: Table, source: str, raw: str, known_from: datetime
    ) -> pl.DataFrame:
        """Return the quarantine rows; `contracts` by rank."""
        found = [QUARANTINE.empty().select("symbol", "date", "rules", "row")]
        if self._groups:
            groups = self._grouped()
            groups = groups.with_columns(contracts["contract"].gather(groups[RANK]).alias("symbol"))
            found.append(groups.select("symbol", "date", "rules", _counted().alias("row")))
        found += self._unusable_rows(contracts)
        return (
            pl.concat(found)
            .with_columns(
                pl.lit(source).alias("source"),
                pl.lit(table.name).alias("dataset"),
                pl.lit(None, pl.String).alias("payload_sha256"),
                pl.lit(raw).alias("raw"),
                pl.lit(known_from, pl.Datetime("us", "UTC")).alias("known_from"),
                pl.lit(POLICY_VERSION, pl.Int32).alias("policy"),
                pl.lit(None, pl.String).alias("sent"),
                pl.lit(None, pl.Int32).alias("passed"),
            )
            .select(list(QUARANTINE.schema))
        )

    def _grouped(self) -> pl.DataFrame:
        return (
            pl.concat(self._groups)
            .group_by(_KEY, maintain_order=True)
            .agg(pl.col("rows").sum(), pl.col("until").max(), pl.col("row").first())
        )

    def _unusable_rows(self, contracts: pl.DataFrame) -> list[pl.DataFrame]:
        """Return the quarantine rows of refused rows; their symbol is the member's underlying."""
        underlyings = contracts["underlying"].unique().to_list()
        symbol = underlyings[0] if len(underlyings) == 1 else "*"
        further = [
            {"date": day, "reason": reason, "row": f'{{"further_rows":{seen - MOST_UNUSABLE}}}'}
            for (day, reason), seen in self._seen.items()
            if seen > MOST_UNUSABLE
        ]
        schema = {"date": pl.Date, "reason": pl.String, "row": pl.String}
        parts = [*self._unusable, pl.DataFrame(further, schema=schema)]
        return [
            part.select(
                pl.lit(symbol).alias("symbol"),
                "date",
                pl.lit(UNUSABLE_ROW).alias("rules"),
                pl.struct("reason", "row").struct.json_encode().alias("row"),
            )
            for part in parts
        ]


def _counted() -> pl.Expr:
    """Return the first row of a group as JSON, with the number of the rows and the time of the last one."""
    rows = pl.concat_str(pl.col("row").str.strip_suffix("}"), pl.lit(',"rows":'), "rows")
    until = pl.concat_str(pl.lit(',"until":"'), pl.col("until").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ"), pl.lit('"'))
    return pl.concat_str(rows, until.fill_null(""), pl.lit("}"))
