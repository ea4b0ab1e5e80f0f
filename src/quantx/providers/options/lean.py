"""The form of LEAN's option archives: a zip per underlying and year or day, with a text file per contract.

Prices are × 10,000. A quote has open, high, low, close and size of bid and ask; a side without quotes is empty. Daily
files have a row per session, minute files a row per minute with the milliseconds since midnight in New York
(https://github.com/QuantConnect/Lean, Data/option/readme.md). The open interest of a date was published in the morning
of that date: after the split of Apple on Monday 2014-06-09, that date still has the old strikes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import IO

import polars as pl

from quantx.core.option_tables import CONTRACT_COLUMNS, CONTRACT_ORDER
from quantx.core.options.roots import underlying_expr
from quantx.core.options.symbols import contract_ids, with_terms
from quantx.errors import MalformedPayload
from quantx.providers.options.kinds import ROWS_PER_BATCH, empty_rows, quotient
from quantx.providers.options.lean_names import STRIKE_SCALE, LeanName, parse_lean_name
from quantx.providers.options.members import Listing, holds_lean, list_zip, reading
from quantx.providers.options.protocol import MemberFacts, OptionBatch, OptionKind, OptionMember, Symbology
from quantx.providers.options.sessions import instant_in_new_york, opening, session_before

MALFORMED = "the row does not have the fields of its kind"
_ZIP = b"PK\x03\x04"
_DAY = r"^([0-9]{8}) 00:00$"
_MINUTE = 60_000  # milliseconds
_SIDES = tuple(f"{side}_{field}" for side in ("bid", "ask") for field in ("open", "high", "low", "close", "size"))
_PRICES = ("open", "high", "low", "close")
_SIDE_PRICES = frozenset(f"{side}_{price}" for side in ("bid", "ask") for price in _PRICES)
_LAST_MILLISECOND = 86_399_999


@dataclass(frozen=True)
class _Layout:
    """The fields of a file after its date or time."""

    kind: OptionKind
    fields: Sequence[str]


# By the kind in the name, and whether it is a file of minutes.
_LAYOUTS = {
    ("quote", False): _Layout("quotes_1d", _SIDES),
    ("quote", True): _Layout("quotes_1m", _SIDES),
    ("trade", False): _Layout("ohlcv_1d", (*_PRICES, "volume")),
    ("openinterest", False): _Layout("open_interest", ("open_interest",)),
    ("openinterest", True): _Layout("open_interest", ("open_interest",)),
}


class LeanForm:
    """Zips of LEAN: daily quotes, trades and open interest, and minute quotes and open interest."""

    name = "lean"

    def recognizes(self, name: str, head: bytes) -> bool:
        """Return whether a member is a zip; `open` refuses one with other content."""
        return head[:4] == _ZIP

    def open(self, name: str, stream: IO[bytes], size: int, symbology: Symbology | None = None) -> OptionMember:
        """Read the names in the zip, and the dates of its files; MalformedPayload where it is none of LEAN."""
        with reading(name):
            archive = zipfile.ZipFile(stream)
        if not holds_lean(archive):
            raise MalformedPayload(f"{name} is a zip inside of an archive; unpack it, and import it by itself")
        listing = Listing()
        list_zip(archive, listing)
        if listing.skipped:
            raise MalformedPayload(f"{name}: {listing.skipped[0].name}: {listing.skipped[0].reason}")
        return LeanMember(name, archive, {file: _facts_of(name, file) for file in sorted(listing.entries)})


class LeanMember:
    """One open zip of LEAN."""

    def __init__(self, name: str, archive: zipfile.ZipFile, files: dict[str, LeanName]) -> None:
        self._name, self._archive, self._files = name, archive, files
        kinds = {(each.kind, each.minute) for each in files.values()}
        if len(kinds) > 1:
            raise MalformedPayload(f"{name} has files of several kinds; a zip of LEAN has one")
        ((kind, minute),) = kinds
        self._layout = layout = _LAYOUTS.get((kind, minute))
        self.contracts, self._index = _contracts(files)
        days = [day for file in files for day in self._ends(file)]
        if not days:
            raise MalformedPayload(f"{name} has no row with a date; download it again")
        session = session_before if kind == "openinterest" else _same_day
        self.facts = MemberFacts(
            kind=None if layout is None else layout.kind,
            skipped=None if layout else "no table takes the trades of minutes; import the daily ones",
            schema=f"{'minute' if minute else 'daily'} {kind}",
            source="lean",
            first=session(min(days)),
            last=session(max(days)),
            rows=None,
        )

    def batches(self) -> Iterator[OptionBatch]:
        """Yield the rows by session; MalformedPayload where the zip is damaged."""
        if self._layout is None:
            return
        lines: list[tuple[int, date | None, str]] = []
        for file, facts in self._files.items():
            lines += [(self._index[file], facts.day, line) for line in self._lines(file)]
            if len(lines) >= ROWS_PER_BATCH:
                yield from _batches(self._layout, lines, self.facts.first)
                lines = []
        if lines:
            yield from _batches(self._layout, lines, self.facts.first)

    def _lines(self, file: str) -> list[str]:
        with reading(f"{self._name}/{file}"):
            content = self._archive.read(file)
        return [line for line in content.decode("ascii", "replace").splitlines() if line]

    def _ends(self, file: str) -> list[date]:
        """Return the first and the last date of a file, as far as its rows have one."""
        stated = self._files[file].day
        if stated is not None:
            return [stated]
        lines = self._lines(file)
        texts = pl.Series([line[:8] for line in (lines[:1] + lines[-1:])], dtype=pl.String)
        return texts.str.to_date("%Y%m%d", strict=False).drop_nulls().to_list()


def _same_day(day: date) -> date:
    return day


def _facts_of(name: str, file: str) -> LeanName:
    facts = parse_lean_name(file)
    if facts is None:
        raise MalformedPayload(f"{name}: the name of {file} has a date that does not exist")
    if facts.strike % (STRIKE_SCALE // 1000):
        raise MalformedPayload(f"{name}: the strike of {file} is no multiple of 0.001")
    return facts


def _contracts(files: dict[str, LeanName]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the contracts of the files in their order, and the row of each file's contract."""
    parts = {name: CONTRACT_COLUMNS[name] for name in ("root", "expiration", "right", "strike")}
    named = pl.DataFrame(
        [(file, each.root, each.expiration, each.right, each.strike / STRIKE_SCALE) for file, each in files.items()],
        schema={"file": pl.String, **parts},
        orient="row",
    ).with_columns(contract_ids(), underlying=underlying_expr(pl.col("root")))
    contracts = named.unique("contract").sort(CONTRACT_ORDER).select("underlying", *CONTRACT_COLUMNS)
    places = contracts.with_row_index("index").select("contract", "index")
    return with_terms(contracts), dict(named.join(places, on="contract", how="left").select("file", "index").rows())


def _batches(layout: _Layout, lines: Sequence[tuple[int, date | None, str]], first: date) -> Iterator[OptionBatch]:
    """Yield the rows of lines by session; a row without a date is rejected in the first session."""
    frame = pl.DataFrame(
        lines, schema={"contract_index": pl.UInt32, "day": pl.Date, "row": pl.String}, orient="row"
    ).with_columns(pl.col("row").str.split(",").alias("part"))
    stamp, *texts = (pl.col("part").list.get(place, null_on_oob=True) for place in range(len(layout.fields) + 1))
    may_be_empty = [name in _SIDE_PRICES for name in layout.fields]
    read = frame.with_columns(
        *(text.cast(pl.Int64, strict=False).alias(name) for name, text in zip(layout.fields, texts, strict=True)),
        clock=stamp.cast(pl.Int64, strict=False),
        day=pl.coalesce("day", stamp.str.extract(_DAY).str.to_date("%Y%m%d", strict=False)),
    ).with_columns(
        whole=pl.all_horizontal(
            pl.col("part").list.len() == len(layout.fields) + 1,
            pl.col("day").is_not_null() if lines[0][1] is None else pl.col("clock").is_between(0, _LAST_MILLISECOND),
            *(
                pl.col(name).is_not_null() | ((text == "") & empty)
                for name, text, empty in zip(layout.fields, texts, may_be_empty, strict=True)
            ),
        ).fill_null(value=False)
    )
    for (day,), rows in read.partition_by("day", as_dict=True, maintain_order=True).items():
        wrong = rows.filter(~pl.col("whole"))
        published = layout.kind == "open_interest" and day is not None
        yield OptionBatch(
            date=session_before(day) if published else day or first,
            rows=_rows(layout.kind, rows.filter("whole")),
            rejected=None if wrong.is_empty() else wrong.select(reason=pl.lit(MALFORMED), row=_as_json()),
        )


def _rows(kind: OptionKind, read: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a table from fields that were read."""
    prices = (name for name in read.columns if name in _SIDE_PRICES or name in _PRICES)
    scaled = read.with_columns(quotient(read[name], STRIKE_SCALE) for name in prices)
    if kind == "quotes_1m":
        end = instant_in_new_york(pl.col("day"), pl.col("clock") + _MINUTE)
        scaled = scaled.with_columns(time=end, bid=pl.col("bid_close"), ask=pl.col("ask_close"))
    if kind == "open_interest":
        scaled = scaled.with_columns(public_at=opening(pl.col("day")))
    empty = empty_rows(kind)
    return pl.concat([empty, scaled.select(name for name in empty.columns if name in scaled.columns)], how="diagonal")


def _as_json() -> pl.Expr:
    return pl.struct("row").struct.json_encode()
