"""Recognise the form of a file from its content, its name and what is declared; nothing about money is guessed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from quantx.core.asset_classes import facts_of_class
from quantx.core.symbols import venue_of
from quantx.errors import InvalidSymbol
from quantx.providers.importing.form import FileForm
from quantx.providers.importing.found import FoundFile
from quantx.providers.importing.headers import columns_of, layout_of, plain, repeated
from quantx.providers.importing.names import is_of_stooq
from quantx.providers.importing.options import ImportOptions
from quantx.providers.importing.read import FileRows, read_excel, read_file
from quantx.providers.importing.slices import LineSlices, slices_of_columns, slices_of_table
from quantx.providers.importing.steps import stamps_of, timeframe_of
from quantx.providers.importing.text import decoded, encoding_of, lines_of, separator_of, split_line
from quantx.providers.importing.values import Undeclared, currency_of, date_format_of, day_of, number_marks_of
from quantx.providers.reply_values import WrongForm

_LEAN_MINUTE = re.compile(
    r"(?P<day>\d{8})_(?P<symbol>[a-z0-9.-]+)_minute_(?P<what>trade|quote|openinterest)\.csv", re.IGNORECASE
)
_LEAN_DAILY = re.compile(r"\d{8} \d{2}:\d{2},\d+,\d+,\d+,\d+,\d+")
_ROW = re.compile(r'"?(\d{4}[-./]?\d{2}[-./]?\d{2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}|[A-Za-z]{3} \d{1,2}, \d{4})')
_HEADER_WITHIN = 2000  # lines that a job may have written before the header
_FEW, _MANY = 300, 100_000  # lines that decide about the forms of dates and numbers
_SAMPLE = 5000  # values of a typed table that do
_PRICES = ("open", "high", "low", "close")


class NoBars(Exception):
    """A file that is none of bars by its kind, as one of quotes; the message is why."""


@dataclass(frozen=True)
class Understood:
    """The rows of one symbol in a file, as they are understood."""

    symbol: str
    form: FileForm
    first: date
    last: date
    rows: FileRows
    body: bytes | None = None  # the symbol's part of a file with several; None: the whole file


def understand(file: FoundFile, body: bytes, options: ImportOptions) -> Iterator[Understood | InvalidSymbol]:
    """Yield what each symbol's part of a file means; a symbol that can't be read costs only its part.

    Raises WrongForm, Undeclared, InvalidSymbol (of the file) or NoBars.
    """
    ending = file.name.rpartition(".")[2].lower()
    if ending == "parquet":
        return _of_table(file, _parquet(body), options, "parquet", body)
    if ending in ("xlsx", "xls", "xlsm", "ods"):
        return _of_table(file, _sheet_of_bars(read_excel(body), options), options, "excel", body)
    return _of_text(file, body, options)


# -------------------------------------------------------------------------------------------------------------- text


def _of_text(file: FoundFile, body: bytes, options: ImportOptions) -> Iterator[Understood | InvalidSymbol]:
    if lean := _lean(file, body, options):
        yield lean
        return
    encoding = encoding_of(body)
    head = lines_of(_beginning(body, encoding, _HEADER_WITHIN), _HEADER_WITHIN)
    if wide := _wide_header(head):
        yield from _of_wide(file, body, encoding, head, wide, options)
        return
    form, header = _text_form(head, options, encoding)
    _check_period(head, form, header)
    if "symbol" not in form.columns or options.symbols.pattern is not None:
        symbol = options.symbols.of_file(file.inner, file.name)
        form = _with_values(form, body, header, options)
        try:
            yield _finished(file, symbol, form, header, body, options, whole=True)
        except WrongForm:  # unless the first lines are not like the others
            other = _with_sample(form, _sample_of(body, form, header, _MANY), options)
            if other == form:
                raise
            yield _finished(file, symbol, other, header, body, options, whole=True)
        return
    form = _with_sample(form, _sample_of(body, form, header, _MANY), options)
    position = _position(form.columns["symbol"], header)
    parts = LineSlices(body, form, position)
    for name, part in parts:
        try:
            symbol = options.symbols.symbol(name)
        except InvalidSymbol as error:
            yield error
            continue
        whole = len(parts) == 1
        yield _finished(file, symbol, form, header, body if whole else part, options, whole=whole)


def _text_form(head: Sequence[str], options: ImportOptions, encoding: str) -> tuple[FileForm, list[str]]:
    """Return the form by the header, and the header; without one, by the declared order of columns."""
    form = FileForm(encoding=encoding)
    if options.order:
        separator = options.separator or separator_of(head[-1])
        columns: dict[str, str | int] = {name: at for at, name in enumerate(options.order) if name}
        return replace(form, columns=columns, header=0, separator=separator), []
    for number, line in enumerate(head):
        separator = options.separator or separator_of(line)
        names = split_line(line.lstrip("\ufeff"), separator)
        named = _named_columns(names, options)
        if "date" in named and "close" in named:
            if (twice := repeated(names)) is not None:
                raise WrongForm(f"its header has {twice!a} twice")
            # Positions in the body count lines with a header; what stands before it is not read.
            return replace(form, columns=named, header=number + 1, separator=separator), names
    if options.columns:
        wanted = ", ".join(options.columns.values())
        raise WrongForm(f"none of its first lines is a header with the declared columns {wanted}")
    if not any(_ROW.search(line) for line in head):
        raise WrongForm(f"it has no rows: its first line is {head[0][:60]!a}")
    raise Undeclared(
        f"no line is a header with a date and a close (the first is {head[0][:60]!a}): name the columns in their order,"
        " as in --columns date,open,high,low,close,volume, or by name, as in --columns date=Datum,close=Schluss"
    )


def _check_period(head: Sequence[str], form: FileForm, header: Sequence[str]) -> None:
    """Raise WrongForm where the column PER of a file from Stooq names other bars than days or minutes."""
    names = [plain(name) for name in header]
    if not {"per", "ticker"} <= set(names):
        return
    at = names.index("per")
    for line in head[form.header :]:
        cells = split_line(line, form.separator)
        if at < len(cells) and cells[at].upper() not in ("D", "1", "PER", "<PER>"):
            raise WrongForm(f"its bars have the period {cells[at][:10]}; stored are daily bars (D) and minutes (1)")


def _named_columns(names: Sequence[str], options: ImportOptions) -> dict[str, str | int]:
    """Return the column of each field; declared ones win."""
    columns: dict[str, str | int] = dict(columns_of(names))
    if options.columns and not set(options.columns.values()) <= set(names):
        return {}
    taken = set(options.columns.values())
    return {name: column for name, column in columns.items() if column not in taken} | dict(options.columns)


def _position(column: str | int, header: Sequence[str]) -> int:
    return column if isinstance(column, int) else list(header).index(column)


def _sample_of(body: bytes, form: FileForm, header: Sequence[str], most: int) -> dict[str, list[str]]:
    """Return the cells of each column in the first lines."""
    lines = lines_of(_beginning(body, form.encoding, most), form.header + most)[form.header :]
    positions = {name: _position(column, header) for name, column in form.columns.items()}
    cells = [split_line(line, form.separator) for line in lines]
    return {name: [row[at] for row in cells if at < len(row) and row[at]] for name, at in positions.items()}


def _beginning(body: bytes, encoding: str, lines: int) -> str:
    """Return the beginning of a text, with at least so many lines of the usual length."""
    size = lines * 400
    if encoding == "utf-16" or len(body) <= size:
        return decoded(body, encoding)
    cut = body.rfind(b"\n", 0, size)
    return decoded(body[: cut if cut > 0 else size], encoding)


def _with_values(form: FileForm, body: bytes, header: Sequence[str], options: ImportOptions) -> FileForm:
    """Return the form with the meaning of its dates and numbers, by few lines, or by more where these do not decide."""
    try:
        return _with_sample(form, _sample_of(body, form, header, _FEW), options)
    except (Undeclared, WrongForm):
        return _with_sample(form, _sample_of(body, form, header, _MANY), options)


def _with_sample(form: FileForm, sample: dict[str, list[str]], options: ImportOptions) -> FileForm:
    dates = [text for text in sample["date"] if text[0].isalnum() and any(map(str.isdigit, text))]
    date_format = options.date_format or _date_format(dates)
    numbers = {name: texts for name, texts in sample.items() if name in (*_PRICES, "volume", "adj_close")}
    decimal, thousands = (options.decimal, "." if options.decimal == "," else ",") if options.decimal else (".", "")
    if not options.decimal:
        decimal, thousands = number_marks_of(numbers)
    sign = currency_of(sample.get("close", [])[:10])
    return form.with_values(date_format=date_format, decimal=decimal, thousands=thousands, currency=sign)


def _date_format(texts: Sequence[str]) -> str:
    """Return the format of the first text that has one: messages of a job may stand before it."""
    for number, text in enumerate(texts[:200]):
        try:
            return date_format_of([text, *texts[number:]])
        except WrongForm:
            continue
    return date_format_of(texts)


def _lean(file: FoundFile, body: bytes, options: ImportOptions) -> Understood | None:
    """Return the rows of a file of QuantConnect's LEAN; None for any other. NoBars for its quotes."""
    name = _LEAN_MINUTE.fullmatch(file.name)
    if name is not None:
        if name["what"].lower() != "trade":
            raise NoBars(f"LEAN's file of {name['what']}s has no bars of trades")
        day = day_of(name["day"])
        if day is None:
            raise WrongForm("the day in its name is no date")
        form = FileForm(kind="lean_minute", timeframe="1m", basis="as_traded", day=str(day))
        symbol = options.symbols.symbol(name["symbol"])
    elif _LEAN_DAILY.match(body[:100].decode("ascii", "replace")):
        form = FileForm(kind="lean_daily", basis="as_traded")
        symbol = options.symbols.of_file(file.inner, file.name)
    else:
        return None
    if not facts_of_class(symbol).has_actions:
        raise WrongForm(f"only LEAN's files of shares are read; {symbol} has prices in another unit")
    if options.basis not in (None, "as_traded"):
        raise WrongForm(f"LEAN's prices are as traded, not {options.basis}")
    rows = read_file(body, form, symbol)
    return _placed(symbol, form, rows)


# ------------------------------------------------------------------------------------ yfinance: one column per symbol


def _wide_header(head: Sequence[str]) -> list[tuple[str, str]] | None:
    """Return price and ticker of each column after the dates of a table that yfinance wrote; None for any other."""
    if len(head) < 3 or not head[2].lower().startswith("date"):
        return None
    first, second = (split_line(line, ",") for line in head[:2])
    if (first[0], second[0]) == ("Price", "Ticker"):
        return list(zip(first[1:], second[1:], strict=False))
    if (first[0], second[0]) == ("Ticker", "Price"):
        return list(zip(second[1:], first[1:], strict=False))
    return None


def _of_wide(
    file: FoundFile,
    body: bytes,
    encoding: str,
    head: Sequence[str],
    wide: Sequence[tuple[str, str]],
    options: ImportOptions,
) -> Iterator[Understood | InvalidSymbol]:
    tickers = list(dict.fromkeys(ticker for _, ticker in wide))
    for ticker in tickers:
        places = {price: at + 1 for at, (price, name) in enumerate(wide) if name == ticker}
        whole = len(tickers) == 1
        names = list(places)
        columns: dict[str, str | int] = {"date": 0}
        columns |= {
            field: places[name] if whole else names.index(name) + 1 for field, name in columns_of(names).items()
        }
        basis = "split_adjusted" if "adj_close" in columns else "total_adjusted"
        form = FileForm(kind="yfinance", columns=columns, header=3, encoding=encoding, date_format="iso", basis=basis)
        try:
            symbol = options.symbols.symbol(ticker)
        except InvalidSymbol as error:
            yield error
            continue
        part = body if whole else slices_of_columns(body, form, [0, *places.values()])
        yield _finished(file, symbol, form, [], part, options, whole=whole)


# ------------------------------------------------------------------------------------------------------------ tables


def _parquet(body: bytes) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(body))
    except (pl.exceptions.PolarsError, OSError, ValueError):
        raise WrongForm("it is no whole Parquet file") from None


def _sheet_of_bars(sheets: Mapping[str, pl.DataFrame], options: ImportOptions) -> pl.DataFrame:
    """Return the sheet with dates and closes, else the first one; WrongForm where several have them."""
    having = {n: t for n, t in sheets.items() if {"date", "close"} <= _named_columns(t.columns, options).keys()}
    if len(having) > 1:
        raise WrongForm(f"it has several sheets of bars ({', '.join(having)}); save each of them as a file")
    return next(iter(having.values() or sheets.values()))


def _of_table(
    file: FoundFile, table: pl.DataFrame, options: ImportOptions, kind: str, body: bytes
) -> Iterator[Understood | InvalidSymbol]:
    columns = _named_columns(table.columns, options)
    if not {"date", "close"} <= columns.keys():
        raise WrongForm(
            f"it has no columns of dates and closes, but {', '.join(table.columns[:12])}: name them, as in --columns"
            " date=Day,close=Last; a header is in the first row"
        )
    if not table.height:
        raise WrongForm("it has no rows")
    form = FileForm(kind=kind, columns=columns, header=1)  # type: ignore[arg-type]
    form = _with_typed_values(form, table, options)
    if "symbol" not in columns or options.symbols.pattern is not None:
        symbol = options.symbols.of_file(file.inner, file.name)
        yield _finished(file, symbol, form, table.columns, body, options, whole=True)
        return
    parts = slices_of_table(table, str(columns["symbol"]))
    for name, part in parts:
        try:
            symbol = options.symbols.symbol(name)
        except InvalidSymbol as error:
            yield error
            continue
        own = form if len(parts) == 1 else replace(form, kind="parquet")
        page = body if len(parts) == 1 else part
        yield _finished(file, symbol, own, table.columns, page, options, whole=len(parts) == 1)


def _with_typed_values(form: FileForm, table: pl.DataFrame, options: ImportOptions) -> FileForm:
    texts = {
        name: table[str(column)].drop_nulls().head(_SAMPLE).to_list()
        for name, column in form.columns.items()
        if table[str(column)].dtype == pl.String
    }
    numbers = {name: values for name, values in texts.items() if name in (*_PRICES, "volume", "adj_close")}
    decimal, thousands = number_marks_of(numbers)
    dates = table[str(form.columns["date"])]
    date_format = options.date_format
    if date_format is None and (dates.dtype == pl.String or dates.dtype.is_numeric()):
        as_text = dates if dates.dtype == pl.String else dates.cast(pl.Int64, strict=False).cast(pl.String)
        date_format = date_format_of(as_text.drop_nulls().head(_SAMPLE * 20).to_list())
    return form.with_values(date_format=date_format, decimal=options.decimal or decimal, thousands=thousands)


# -------------------------------------------------------------------------------------------- time, basis, and finish


def _finished(
    file: FoundFile,
    symbol: str,
    form: FileForm,
    header: Sequence[str],
    body: bytes,
    options: ImportOptions,
    *,
    whole: bool,
) -> Understood:
    """Return the rows of one symbol; the form gets its timeframe, its stamps and its basis."""
    if options.currency is None:
        _check_sign(form, symbol)
    form = form.with_values(
        zone=options.zone,
        currency=options.currency,
        price_factor=options.price_factor,
        volume_factor=options.volume_factor,
    )
    rows = read_file(body, form.with_values(timeframe="1d"), symbol)  # dates only, to see the steps between rows
    timeframe = options.timeframe or timeframe_of(body, form, symbol, rows)
    form = replace(form, timeframe=timeframe)
    if timeframe == "1m":
        form = form.with_values(stamps=options.stamps or stamps_of(body, form, symbol))
        rows = read_file(body, form, symbol)
    form = replace(form, basis=_basis(file, symbol, form, header, rows, options))
    return _placed(symbol, form, rows, None if whole else body)


def _check_sign(form: FileForm, symbol: str) -> None:
    """Raise Undeclared where the sign of prices is that of several currencies at a symbol's exchange."""
    if venue_of(symbol).market == "hk" and form.currency in ("USD", "JPY"):
        raise Undeclared(
            f"the currency sign of its prices may be {form.currency} or another at the exchange of {symbol}: give"
            " --currency, as in --currency HKD"
        )


def _placed(symbol: str, form: FileForm, rows: FileRows, body: bytes | None = None) -> Understood:
    days = rows.rows["date"].drop_nulls()
    if days.is_empty():
        raise WrongForm("it has no rows")
    first, last = days.min(), days.max()
    return Understood(symbol, form, first, last, rows, body)  # type: ignore[arg-type]


def _basis(
    file: FoundFile, symbol: str, form: FileForm, header: Sequence[str], rows: FileRows, options: ImportOptions
) -> str:
    """Return what prices are divided by: as declared, as the layout's origin documents it, or as its events show."""
    layout = layout_of(header) if header else None
    known = form.basis or (layout.basis if layout else None)
    if known is None and is_of_stooq(file.name):
        known = "total_adjusted"
    if options.basis is not None:
        return options.basis
    if known == "as_traded" and _shown_basis(rows) == "split_adjusted":
        raise Undeclared(
            "its splits do not show in its prices, which are therefore divided by them: give --basis split_adjusted"
        )
    if known is None and not facts_of_class(symbol).has_actions:
        return "as_traded"  # nothing divides the prices of an index, a pair, a coin or a future
    if known is None:
        raise Undeclared(
            "its header does not show what the prices are divided by: give --basis as_traded, --basis split_adjusted"
            " (with --splits) or --basis total_adjusted (splits and dividends)"
        )
    return known


def _shown_basis(rows: FileRows) -> str | None:
    """Return the basis that the prices around listed splits show; None where there is none, or it is not clear."""
    frame = rows.rows.filter(pl.col("close") > 0).sort("date")
    steps = frame.select(
        ratio=pl.col("split"), step=(pl.col("close") / pl.col("close").shift(1)).log(), date="date"
    ).filter(pl.col("ratio") > 0, (pl.col("ratio").log().abs() > 0.25), pl.col("step").is_not_null())
    if steps.is_empty():
        return None
    traded = (steps["step"] + steps["ratio"].log()).abs().max()
    divided = steps["step"].abs().max()
    if traded is None or divided is None:
        return None
    if divided < 0.2 < traded:  # type: ignore[operator]
        return "split_adjusted"
    return "as_traded" if traded < 0.2 < divided else None  # type: ignore[operator]
