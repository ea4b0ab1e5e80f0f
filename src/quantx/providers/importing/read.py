"""Rows of a file from its bytes and its form: pure, strict, and without a guess."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from quantx.core.symbols import venue_of
from quantx.core.table import INSTANT
from quantx.providers.importing.form import EXCHANGE, FileForm
from quantx.providers.importing.text import Cells, decoded, read_cells
from quantx.providers.importing.values import Undeclared, is_date_like, read_numbers, read_times
from quantx.providers.reply_values import WrongForm

_PRICES = ("open", "high", "low", "close")
_NUMBERS = (*_PRICES, "volume", "adj_close", "dividend", "split")
_MINUTE = timedelta(minutes=1)
_DECI_CENTS = 1e-4  # LEAN's unit of prices, in dollars
_DATE = r"^(\d{8}|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})\b"
_MOST_STRAY = 10  # lines of a file that are no rows, for each row


@dataclass(frozen=True)
class FileRows:
    """The rows of a file about one symbol, in its order.

    `rows` has time (UTC), date (at the exchange), open, high, low, close, volume, adj_close, dividend and split; what
    a file does not have is null. Prices are in the file's unit times the form's factor.
    """

    rows: pl.DataFrame
    stray: int = 0  # lines that are no rows
    first_stray: str = ""


def read_file(body: bytes, form: FileForm, symbol: str) -> FileRows:
    """Return the rows of a file about one symbol.

    Raises WrongForm where the file does not have the form, Undeclared where the form leaves a fact open.
    """
    if form.kind == "lean_minute":
        return _read_lean(body, form, symbol, minutes=True)
    if form.kind == "lean_daily":
        return _read_lean(body, form, symbol, minutes=False)
    if form.kind in ("parquet", "excel"):
        table = _read_parquet(body) if form.kind == "parquet" else _sheet_of(body, form)
        return _typed_rows(table, form, symbol)
    return _read_text(body, form, symbol)


# ------------------------------------------------------------------------------------------------------------- text


def positions_of(header: Sequence[str], form: FileForm) -> dict[str, int]:
    """Return the position of each declared column; WrongForm for a name that the header does not have."""
    positions = {}
    for name, column in form.columns.items():
        if isinstance(column, int):
            positions[name] = column
        elif column in header:
            positions[name] = list(header).index(column)
        else:
            raise WrongForm(f"it has no column {column!a} for {name}")
    return positions


def _read_text(body: bytes, form: FileForm, symbol: str) -> FileRows:
    cells = read_cells(decoded(body, form.encoding), form.separator)
    header: list[str] = []
    if form.header:
        if cells.cells.len() < form.header:
            raise WrongForm("it has no rows")
        named = 0 if form.kind == "yfinance" else form.header - 1
        header = [cell.strip().strip('"') for cell in cells.cells[named].to_list()]
        keep = pl.Series([n >= form.header for n in range(cells.cells.len())], dtype=pl.Boolean)
        cells = cells.where(keep)
    positions = positions_of(header, form)
    rows, stray = split_rows(cells, positions, form, len(header))
    if rows.cells.is_empty():
        raise WrongForm("it has no rows")
    columns = {name: rows.column(at).alias(name) for name, at in positions.items()}
    frame = _frame(columns, form, symbol, lambda mask: f"line {rows.numbers.filter(mask)[0]}")
    first = form.separator.join(stray.cells[0].to_list())[:80] if len(stray.cells) else ""
    return FileRows(frame, len(stray.cells), first)


def split_rows(cells: Cells, positions: dict[str, int], form: FileForm, width: int) -> tuple[Cells, Cells]:
    """Return the lines with a date in its place, and the others: pages and messages that a job wrote into its file.

    WrongForm where the last row is cut off, a row lacks prices, or most lines are no rows.
    """
    if "date" not in positions:
        raise WrongForm("it has no column of dates")
    dated = is_date_like(cells.column(positions["date"]), form.date_format or "iso")
    rows, stray = cells.where(dated), cells.where(~dated & ~_repeats_header(cells, positions, form))
    _check_other_dates(stray, positions["date"], form, len(rows.cells))
    if len(stray.cells) > _MOST_STRAY * len(rows.cells):
        text = form.separator.join(stray.cells[0].to_list())[:60]
        raise WrongForm(f"most of its lines are no rows, as {text!a}")
    if rows.cells.is_empty():
        return rows, stray
    lengths = rows.cells.list.len()
    needed = max((at for name, at in positions.items() if name != "volume"), default=0) + 1
    short = lengths < needed
    if short.any():
        where = rows.numbers.filter(short)[0]
        last = where == rows.numbers[-1] and rows.ends_in_line
        raise WrongForm(
            f"it ends within line {where}: it is cut off; get the file again" if last else f"line {where} is too short"
        )
    if rows.ends_in_line and width and lengths[-1] < width and lengths[-1] < lengths.max():
        raise WrongForm(f"it ends within line {rows.numbers[-1]}: it is cut off; get the file again")
    if width and (long := lengths > width).any():
        extra = rows.where(long).cells.list.slice(width).list.join("").str.strip_chars().str.len_bytes() > 0
        if extra.any():
            raise WrongForm(f"line {rows.where(long).numbers.filter(extra)[0]} has more cells than the header")
    return rows, stray


def _check_other_dates(stray: Cells, position: int, form: FileForm, rows: int) -> None:
    """Raise WrongForm where lines have dates of another form than the rows: the order of day and month may differ."""
    others = stray.where(stray.column(position).str.contains(_DATE).fill_null(False))
    count, day_first = len(others.cells), (form.date_format or "").startswith(("%d", "%m"))
    if count > (0 if day_first else rows / 100):
        text = others.column(position)[0]
        raise WrongForm(
            f"line {others.numbers[0]}: {text[:30]!a} is no date of the form {form.date_format}, which other lines have"
        )


def _repeats_header(cells: Cells, positions: dict[str, int], form: FileForm) -> pl.Series:
    """Return which lines are the header once more, as in files that were joined."""
    names = {at: name for name, at in form.columns.items() if isinstance(at, str)}
    if not names or "date" not in positions:
        return pl.Series([False] * len(cells.cells), dtype=pl.Boolean)
    named = form.columns["date"]
    return (cells.column(positions["date"]) == str(named)).fill_null(False)


def _frame(columns: dict[str, pl.Series], form: FileForm, symbol: str, at: Callable[[pl.Series], str]) -> pl.DataFrame:
    """Return the rows of cells."""
    numbers = [read_numbers(columns[n], form.decimal, form.thousands, at) for n in _NUMBERS if n in columns]
    times, offsets = read_times(columns["date"], form.date_format or "iso")
    if "clock" in columns:
        times = times + _clock(columns["clock"])
    return _dated(pl.DataFrame([times.alias("naive"), offsets.alias("offset"), *numbers]), form, symbol)


def _clock(texts: pl.Series) -> pl.Series:
    """Return the duration since midnight of clock times: 093100, 0931, 09:31, 09:31:00; null counts as midnight."""
    digits = texts.fill_null("0").str.replace_all(":", "").str.replace(r"\..*$", "")
    digits = pl.select(
        pl.when(digits.str.len_chars() <= 4).then(digits.str.zfill(4) + "00").otherwise(digits.str.zfill(6))
    ).to_series()
    parts = [digits.str.slice(at, 2).cast(pl.Int64, strict=False) for at in (0, 2, 4)]
    wrong = pl.select((parts[0] > 24) | (parts[1] > 59) | (parts[2] > 59) | parts[0].is_null()).to_series()
    if wrong.fill_null(True).any():
        raise WrongForm(f"{texts.filter(wrong.fill_null(True))[0]!a} is no time of day")
    return ((parts[0] * 3600 + parts[1] * 60 + parts[2]) * 1_000_000).cast(pl.Duration("us"))


# ------------------------------------------------------------------------------------------------------ typed tables


def _read_parquet(body: bytes) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(body))
    except (pl.exceptions.PolarsError, OSError, ValueError):
        raise WrongForm("it is no whole Parquet file") from None


def read_excel(body: bytes) -> dict[str, pl.DataFrame]:
    """Return the sheets of a workbook that have rows, by name; WrongForm where there are none."""
    import fastexcel  # imported late: few imports need it

    try:
        book = fastexcel.read_excel(body)
        sheets = {name: book.load_sheet(name).to_polars() for name in book.sheet_names}
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError, ValueError):
        raise WrongForm("it is no whole Excel workbook") from None
    found = {name: table for name, table in sheets.items() if table.height}
    if not found:
        raise WrongForm("it has no rows")
    return found


def _sheet_of(body: bytes, form: FileForm) -> pl.DataFrame:
    """Return the first sheet that has the form's columns, else the first with rows."""
    sheets, wanted = list(read_excel(body).values()), set(map(str, form.columns.values()))
    return next((table for table in sheets if wanted <= set(table.columns)), sheets[0])


def _typed_rows(table: pl.DataFrame, form: FileForm, symbol: str) -> FileRows:
    """Return the rows of a table with types; texts in it are read as those of a text file."""
    positions = positions_of(table.columns, form)
    chosen = {name: table.to_series(at) for name, at in positions.items() if name != "symbol"}
    if "date" not in chosen:
        raise WrongForm("it has no column of dates")
    times, offsets = typed_times(chosen["date"], form)
    if "clock" in chosen:
        clock = chosen["clock"]
        times = times + (clock - time(0) if clock.dtype == pl.Time else _clock(clock.cast(pl.String)))
    numbers = []
    for name in _NUMBERS:
        if name not in chosen:
            continue
        column = chosen[name].alias(name)
        if column.dtype == pl.String:
            column = read_numbers(column, form.decimal, form.thousands, lambda mask: f"row {mask.arg_max()}")
        elif not column.dtype.is_numeric() and column.dtype != pl.Null:
            raise WrongForm(f"its column {name} has no numbers")
        numbers.append(column.cast(pl.Float64).fill_nan(None))
    frame = pl.DataFrame([times.alias("naive"), offsets.alias("offset"), *numbers])
    undated = frame.filter(pl.col("naive").is_null() & ~pl.all_horizontal(pl.col(s.name).is_null() for s in numbers))
    rows = _dated(frame.filter(pl.col("naive").is_not_null()), form, symbol)
    return FileRows(rows, undated.height, "a row without a date" if undated.height else "")


def typed_times(column: pl.Series, form: FileForm) -> tuple[pl.Series, pl.Series]:
    """Return the naive times of a column of days, times, texts or numbers, and their offsets in minutes."""
    none = pl.Series([None] * len(column), dtype=pl.Int64)
    if column.dtype == pl.Date:
        return column.cast(pl.Datetime("us")), none
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone is None:
            return column.cast(pl.Datetime("us")), none
        local = column.dt.replace_time_zone(None).cast(pl.Datetime("us"))
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("us"))
        return local, (local - utc).dt.total_minutes()
    if column.dtype.is_numeric():
        column = column.cast(pl.Int64, strict=False)
    return read_times(column.cast(pl.String), form.date_format or "iso")


# ------------------------------------------------------------------------------------------------------------- times


def _dated(frame: pl.DataFrame, form: FileForm, symbol: str) -> pl.DataFrame:
    """Return rows with `time` and `date` from naive times with offsets, and with the units of the form."""
    zone = venue_of(symbol).timezone
    naive, shift = pl.col("naive"), pl.duration(minutes=pl.col("offset"))
    utc = (naive - shift).dt.replace_time_zone("UTC")
    if form.timeframe == "1d":
        # A time with an offset is converted to the exchange's; midnight is no time but a date as it is written.
        at_exchange = utc.dt.convert_time_zone(zone).dt.date()
        written = pl.col("offset").is_null() | (naive.dt.time() == time(0))
        frame = frame.with_columns(date=pl.when(written).then(naive.dt.date()).otherwise(at_exchange))
        if form.zone not in (None, EXCHANGE):  # a clock time in a declared zone, too
            in_zone = _in_zone(frame, form, zone).dt.convert_time_zone(zone).dt.date()
            clocked = pl.col("offset").is_null() & (naive.dt.time() != time(0))
            frame = frame.with_columns(date=pl.when(clocked).then(pl.coalesce(in_zone, "date")).otherwise("date"))
        midnight = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone(zone)
        frame = frame.with_columns(time=midnight.dt.convert_time_zone("UTC").cast(INSTANT))
    else:
        local = _in_zone(frame, form, zone)
        if form.stamps is None:
            raise Undeclared("a stamp may be the start or the end of its minute: give --stamps start or --stamps end")
        start = local - _MINUTE if form.stamps == "end" else local
        frame = frame.with_columns(time=start.cast(INSTANT))
        if (skipped := frame["time"].is_null() & frame["naive"].is_not_null()).any():
            raise WrongForm(
                f"{frame['naive'].filter(skipped)[0]} is no time in the zone {form.zone}, whose clock skips it: check"
                " --zone"
            )
        frame = frame.with_columns(date=pl.col("time").dt.convert_time_zone(zone).dt.date())
    missing = [pl.lit(None, pl.Float64).alias(name) for name in _NUMBERS if name not in frame.columns]
    prices = [pl.col(name) * form.price_factor for name in (*_PRICES, "adj_close", "dividend")]
    frame = frame.with_columns(missing)
    if form.price_factor != 1.0:
        frame = frame.with_columns(prices)
    if form.volume_factor != 1.0:
        frame = frame.with_columns(pl.col("volume") * form.volume_factor)
    return frame.select("time", "date", *_NUMBERS)


def _in_zone(frame: pl.DataFrame, form: FileForm, exchange: str) -> pl.Expr:
    """Return the instants of naive times in the form's zone; an offset in the file wins."""
    naive = pl.col("naive")
    utc = (naive - pl.duration(minutes=pl.col("offset"))).dt.replace_time_zone("UTC")
    if not frame["offset"].is_null().any():
        return utc
    if form.zone is None:
        raise Undeclared(
            "its times have no zone: give --zone exchange (the clock of each symbol's exchange), --zone UTC, or a zone"
            " as in --zone Europe/London"
        )
    name = exchange if form.zone == EXCHANGE else form.zone
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Undeclared(f"{name!a} is no zone; give one as in --zone Europe/London") from None
    # The hour that the clock repeats in autumn is read as its first pass; the one that it skips in spring is no time.
    local = naive.dt.replace_time_zone(name, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    return pl.coalesce(utc, local)


def _read_lean(body: bytes, form: FileForm, symbol: str, *, minutes: bool) -> FileRows:
    """Return the rows of LEAN's files: prices in ten-thousandths, minutes as milliseconds of New York's clock."""
    names = ("clock" if minutes else "day", *_PRICES, "volume")
    cells = read_cells(decoded(body, "utf-8"), ",")
    if cells.cells.is_empty():
        raise WrongForm("it has no rows")
    lengths = cells.cells.list.len()
    if (wrong := lengths != len(names)).any():
        raise WrongForm(f"line {cells.numbers.filter(wrong)[0]} has {lengths.filter(wrong)[0]} cells, not {len(names)}")

    def at(mask: pl.Series) -> str:
        return f"line {cells.numbers.filter(mask)[0]}"

    texts = {name: cells.column(n).alias(name) for n, name in enumerate(names)}
    numbers = [read_numbers(texts[name], ".", "", at) for name in names[1:]]
    if minutes:
        if form.day is None:
            raise WrongForm("the name of the file has no day")
        since = read_numbers(texts["clock"], ".", "", at).cast(pl.Int64)
        day = datetime.combine(date.fromisoformat(form.day), time(0))
        # Midnight and a duration, not the clock: on the days of the change the two differ, and LEAN has the clock.
        naive = pl.select(pl.lit(day) + (since * 1000).cast(pl.Duration("us"))).to_series()
    else:
        if (hours := texts["day"].str.slice(8).str.strip_chars() != "00:00").any():
            raise WrongForm(f"{at(hours)}: its bars are hours of LEAN; stored are daily bars and minutes")
        naive, _ = read_times(texts["day"].str.slice(0, 8), "%Y%m%d")
    none = pl.Series([None] * len(naive), dtype=pl.Int64)
    frame = pl.DataFrame([naive.alias("naive"), none.alias("offset"), *numbers])
    units = form.with_values(price_factor=_DECI_CENTS, stamps="start", zone=EXCHANGE)
    rows = _dated(frame, units, symbol)
    return FileRows(rows.with_columns(pl.col(_PRICES).round(4)))
