"""FMP's statements as facts: the fields of income statements, balance sheets and cash flow statements.

A field is the tag of a fact of the taxonomy `fmp`. FMP's quarters are discrete, also those of cash flows. It sends no
first day of a period: that is the day after the period before in the same reply, or the calendar's, three or twelve
months before, where the reply has none at that distance. `acceptedDate` is New York's time (AAPL, fiscal year 2024:
06:01:36, at which EDGAR accepted the 10-K). A field of value zero is no fact: FMP sends zero also in place of no value,
as for the marketing expenses of AAPL (recorded in 2025).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from quantx.core.fundamentals.acceptance import NEW_YORK
from quantx.core.table import INSTANT
from quantx.providers.protocol import VENDOR_FACTS
from quantx.providers.reply_values import WrongForm, numbers

TAXONOMY = "fmp"
INCOME, BALANCE, CASH_FLOW = (
    "/stable/income-statement",
    "/stable/balance-sheet-statement",
    "/stable/cash-flow-statement",
)
STATEMENTS = {INCOME: "income", BALANCE: "balance", CASH_FLOW: "cash_flow"}
PERIODS = ("quarter", "annual")
MOST_ROWS = "400"  # a hundred years of quarters; without a limit FMP sends five rows

# Fields that describe the statement.
DESCRIBING = (
    "date",
    "symbol",
    "reportedCurrency",
    "cik",
    "filingDate",
    "acceptedDate",
    "fiscalYear",
    "period",
    "link",
    "finalLink",
)
_SHARES = ("weightedAverageShsOut", "weightedAverageShsOutDil")
_PER_SHARE = ("eps", "epsDiluted")
_INSTANTS = ("cashAtEndOfPeriod",)  # of a cash flow statement
# Fields that FMP sends in two statements, with different definitions: those of cash flows get a prefix.
_IN_BOTH = ("netIncome", "depreciationAndAmortization")
# The days from one period's end to the next one's: 52 and 53 weeks, 13 to 16 weeks.
_DISTANCE = {"quarter": (75, 125, "3mo"), "annual": (350, 380, "12mo")}
_ACCESSION = re.compile(r"/(\d{10})(\d{2})(\d{6})/|(\d{10}-\d{2}-\d{6})")

Statements = Sequence[Mapping[str, Any]]


def statement_facts(statement: str, rows: Statements) -> pl.DataFrame:
    """Return the facts of the statements of one reply: VENDOR_FACTS and `public_at`.

    `statement` is a value of STATEMENTS. Raises WrongForm, or another of FORM_ERRORS, where a field has another form.
    """
    schema = {**VENDOR_FACTS, "public_at": INSTANT}
    if not rows:
        return pl.DataFrame(schema=schema)
    about = _about(rows)
    fields = sorted({name for row in rows for name in row}.difference(DESCRIBING))
    if not fields:
        raise WrongForm("statements without a number")
    parts = [_facts(statement, field, numbers("value", [row.get(field) for row in rows]), about) for field in fields]
    facts = pl.concat(parts).filter(pl.col("value") != 0)
    return facts.select(pl.col(name).cast(kind) for name, kind in schema.items())


def _about(rows: Statements) -> pl.DataFrame:
    """Return a row per statement: the columns of its facts, but for tag, unit and value."""
    if not all(re.fullmatch("[A-Z]{3}", str(row.get("reportedCurrency"))) for row in rows):
        raise WrongForm("a reportedCurrency is no currency")
    texts = {name: [_text(row.get(name)) for row in rows] for name in DESCRIBING}
    frame = pl.DataFrame(texts, schema=dict.fromkeys(DESCRIBING, pl.String)).with_row_index("nth")
    accepted = pl.col("acceptedDate").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=True)
    public_at = accepted.dt.replace_time_zone(NEW_YORK, ambiguous="latest", non_existent="null")
    link = pl.struct("finalLink", "link").map_elements(_accession, return_dtype=pl.String)
    frame = frame.select(
        "nth",
        pl.col("cik").str.strip_chars().replace("", None).cast(pl.Int64).alias("cik"),
        pl.col("date").str.to_date("%Y-%m-%d").alias("end"),
        pl.col("filingDate").str.to_date("%Y-%m-%d").alias("filed"),
        public_at.dt.convert_time_zone("UTC").alias("public_at"),
        pl.col("reportedCurrency").alias("currency"),
        pl.col("fiscalYear").cast(pl.Int32).alias("fy"),
        pl.col("period").alias("fp"),
        # Without a link the time of acceptance distinguishes the filings of a company.
        pl.coalesce(link, "FMP-" + accepted.dt.strftime("%Y%m%d%H%M%S"), "FMP-" + pl.col("filingDate")).alias(
            "accession"
        ),
    )
    kind = "annual" if (frame["fp"] == "FY").any() else "quarter"
    least, most, calendar = _DISTANCE[kind]
    frame = frame.sort("end")
    before = pl.col("end").shift()
    known = (pl.col("end") - before).dt.total_days().is_between(least, most)
    nominal = pl.col("end").dt.offset_by(f"-{calendar}")
    first = pl.when(known).then(before).otherwise(nominal).dt.offset_by("1d")
    return frame.with_columns(first.alias("first")).sort("nth").drop("nth")


def _facts(statement: str, field: str, values: pl.Series, about: pl.DataFrame) -> pl.DataFrame:
    """Return the facts of one field."""
    tag = f"cashFlow.{field}" if statement == "cash_flow" and field in _IN_BOTH else field
    unit = (
        pl.lit("shares")
        if field in _SHARES
        else pl.col("currency") + "/shares"
        if field in _PER_SHARE
        else pl.col("currency")
    )
    instant = statement == "balance" or field in _INSTANTS
    return about.select(
        "cik",
        pl.lit(TAXONOMY).alias("taxonomy"),
        pl.lit(tag).alias("tag"),
        unit.alias("unit"),
        (pl.lit(None, pl.Date) if instant else pl.col("first")).alias("start"),
        "end",
        values.alias("value"),
        pl.lit(None, pl.String).alias("form"),
        "accession",
        "fy",
        "fp",
        "filed",
        "public_at",
    )


def _accession(links: Mapping[str, str | None]) -> str | None:
    """Return the number of the filing in a link to EDGAR."""
    for link in (links["finalLink"], links["link"]):
        if link and (found := _ACCESSION.search(link)):
            return found[4] or f"{found[1]}-{found[2]}-{found[3]}"
    return None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
