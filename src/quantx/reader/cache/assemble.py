"""Frames from decoded files: the rows of some symbols and days, sorted by symbol where the files allow it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from quantx.core.table import Table
from quantx.lake.table_version import LiveFile, day_of
from quantx.reader.cache.buffers import Format, series_of
from quantx.reader.cache.copies import CopiedColumn, DecodedFile, with_nulls
from quantx.reader.selection import Selection

# Symbols whose days are searched one by one; for more, all days of a file are compared.
_FEW = 1_500
_FEW_OF_DAYS = 150  # where the result is small beside the reads that each symbol takes
_FEW_FILTERED = 20  # symbols up to which all rows are read, and then filtered
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """A decoded file of a version."""

    live: LiveFile
    decoded: DecodedFile


Run = tuple[DecodedFile, int, int]  # rows of a file, from the first to the last (exclusive)


def assemble(table: Table, files: Sequence[ChosenFile], selection: Selection, columns: Sequence[str]) -> pl.DataFrame:
    """Return the rows of a selection in some of the table's columns; a part of its condition `where` may be left.

    Raises DamagedCopy if a block does not match its checksum.
    """
    runs: list[tuple[str, int, Run]] = []
    frames: list[pl.DataFrame] = []
    ordered = sorted(files, key=lambda each: (each.live.first_day or date.min, each.live.path))
    by_column = [(name, each) for name, each in selection.by_column if name in table.schema]
    for number, file in enumerate(ordered):
        if by_column and _is_narrowed(table, file, selection):
            frames.append(_narrowed(file.decoded, selection, by_column, columns))
        elif _is_wide(table, file, selection):
            frames.append(_filtered(table, file.decoded, selection, columns))
        else:
            runs += [(symbol, number, run) for symbol, run in _runs(table, file, selection)]
    runs.sort(key=lambda each: each[:2])
    frames.insert(0, _frame(table, runs, columns))
    return frames[0] if len(frames) == 1 else pl.concat(frames)


def _is_wide(table: Table, file: ChosenFile, selection: Selection) -> bool:
    """Return whether the rows are found by a comparison of all rows of the file."""
    decoded = file.decoded
    if table.sort[0] != "symbol" and selection.symbols is not None:
        return True
    if _has_all_days(table, file.live, selection):
        return False
    asked = len(decoded.places) if selection.symbols is None else len(selection.symbols)
    return not decoded.by_day or asked > (_FEW_OF_DAYS if _has_few_days(file.live, selection) else _FEW)


def _is_narrowed(table: Table, file: ChosenFile, selection: Selection) -> bool:
    """Return whether rows are chosen by the filters of single columns before others are read.

    It is so where a symbol has many rows of one day, of which queries want a few.
    """
    many = selection.symbols is None or len(selection.symbols) > _FEW_FILTERED
    by_symbol = table.sort[0] == "symbol" and table.sort[1:2] != (table.day,)
    return many and by_symbol and _has_all_days(table, file.live, selection)


def _narrowed(
    decoded: DecodedFile, selection: Selection, filters: Sequence[tuple[str, pl.Expr]], columns: Sequence[str]
) -> pl.DataFrame:
    """Return the rows of a file that some filters of single columns leave of a selection's symbols."""
    runs: list[tuple[int, int]] = []
    if selection.symbols is not None:
        runs = sorted(place for symbol in selection.symbols if (place := decoded.places.get(symbol)) is not None)
        if not runs:
            return decoded.frame(columns, pl.Series([], dtype=pl.UInt32))
        if sum(end - start for start, end in runs) == decoded.rows:
            runs = []
    first, *others = filters
    matching = decoded.matches(*first, runs)
    for each in others:
        matching &= decoded.matches(*each, runs)
    places = matching.arg_true()
    return decoded.frame(columns, places, runs)


def _has_few_days(live: LiveFile, selection: Selection) -> bool:
    """Return whether the selection has less than a tenth of the days of a file."""
    if live.first_day is None or live.last_day is None:
        return False
    first, last = (
        max(selection.first or live.first_day, live.first_day),
        min(selection.last or live.last_day, live.last_day),
    )
    return (last - first).days < (live.last_day - live.first_day).days / 10


def _has_all_days(table: Table, live: LiveFile, selection: Selection) -> bool:
    """Return whether the selection has all days of a file."""
    first, last = selection.first, selection.last
    return (first is None or (live.first_day is not None and first <= live.first_day)) and (
        last is None or (live.last_day is not None and live.last_day <= last)
    )


def _filtered(table: Table, decoded: DecodedFile, selection: Selection, columns: Sequence[str]) -> pl.DataFrame:
    """Return the rows of a file in a selection, by a comparison of all days."""
    wanted = pl.lit(True)
    if selection.first is not None:
        wanted &= pl.col("day") >= selection.first
    if selection.last is not None:
        wanted &= pl.col("day") <= selection.last
    if selection.first is None and selection.last is None:
        places = pl.int_range(decoded.rows, dtype=pl.UInt32, eager=True)
    else:
        days = decoded.days(table).alias("day").to_frame()
        places = days.select(wanted.arg_true()).to_series()
    # The condition on symbols is applied to what is left.
    named = list(dict.fromkeys([*columns, *(["symbol"] if selection.symbols is not None else [])]))
    rows = decoded.frame(named, places)
    if selection.symbols is not None:
        rows = rows.filter(pl.col("symbol").is_in(list(selection.symbols)))
    return rows.select(columns)


def _runs(table: Table, file: ChosenFile, selection: Selection) -> list[tuple[str, Run]]:
    """Return the rows of each symbol in a selection."""
    decoded = file.decoded
    if selection.symbols is None and _has_all_days(table, file.live, selection):
        return [("", (decoded, 0, decoded.rows))]
    asked = decoded.places if selection.symbols is None else dict.fromkeys(selection.symbols)
    found = [(symbol or "", place) for symbol in asked if (place := decoded.places.get(symbol)) is not None]
    if _has_all_days(table, file.live, selection):
        return [(symbol, (decoded, *place)) for symbol, place in found]
    days = decoded.columns[day_of(table)]
    runs = []
    for symbol, (start, end) in found:
        stored = decoded.read(days, start, end).cast("i")
        low = 0 if selection.first is None else bisect_left(stored, selection.first.toordinal() - _EPOCH)
        high = len(stored) if selection.last is None else bisect_right(stored, selection.last.toordinal() - _EPOCH)
        if low < high:
            runs.append((symbol, (decoded, start + low, start + high)))
    return runs


def _frame(table: Table, runs: Sequence[tuple[str, int, Run]], columns: Sequence[str]) -> pl.DataFrame:
    if not runs:
        return table.empty().select(columns)
    rows = [run for _, _, run in runs]
    named = all(symbol for symbol, _, _ in runs)  # a run without a symbol is of all symbols of a file
    return pl.DataFrame([_symbols(runs) if named and name == "symbol" else _column(name, rows) for name in columns])


def _symbols(runs: Sequence[tuple[str, int, Run]]) -> pl.Series:
    """Return the symbol of each row, without a read."""
    places = {symbol: place for place, symbol in enumerate(dict.fromkeys(symbol for symbol, _, _ in runs))}
    codes = [array("I", (places[symbol],)) * (end - start) for symbol, _, (_, start, end) in runs]
    return pl.Series(list(places), dtype=pl.String).gather(series_of("", b"".join(codes), "I")).alias("symbol")


def _column(name: str, runs: Sequence[Run]) -> pl.Series:
    """Return one column of some runs."""
    files = list(dict.fromkeys(run[0] for run in runs))
    stored = {file: file.columns[name] for file in files}
    kinds = {_kind(column) for column in stored.values()}
    if len(files) == 1:
        return files[0].series(name, [run[1:] for run in runs])
    if len(kinds) > 1:
        return pl.concat([file.series(name, [(start, end)]) for file, start, end in runs])
    sample = stored[files[0]]
    if sample.values is None:
        assert sample.format is not None
        read = series_of(name, b"".join([file.read(stored[file], a, b) for file, a, b in runs]), sample.format)
        if any(column.present is not None for column in stored.values()):
            read = with_nulls(read, b"".join([file.read_present(stored[file], a, b) for file, a, b in runs]))
        return read.cast(sample.dtype)
    return _decoded(name, runs, stored)


def _kind(column: CopiedColumn) -> tuple[str | None, bool]:
    """Return what columns need to be read together: the format of plain values, or of codes."""
    return (None if column.format == "H" and column.values is not None else column.format), column.values is None


def _decoded(name: str, runs: Sequence[Run], stored: dict[DecodedFile, CopiedColumn]) -> pl.Series:
    """Return a column whose files have codes of values of their own, or one value."""
    bases: dict[DecodedFile, int] = {}
    parts: list[pl.Series] = []
    known: dict[object, int] = {}
    length = 0
    for file, column in stored.items():
        assert column.values is not None
        only = column.values[0] if column.format is None else file
        if only in known:
            bases[file] = known[only]
            continue
        known[only] = bases[file] = length
        parts.append(column.values)
        length += column.values.len()
    if length == 1:
        total = sum(end - start for _, start, end in runs)
        return parts[0].new_from_index(0, total).alias(name)
    base = series_of(name, b"".join([array("I", (bases[file],)) * (end - start) for file, start, end in runs]), "I")
    if all(column.format is None for column in stored.values()):
        places = base
    else:
        form: Format = "I" if any(column.format == "I" for column in stored.values()) else "H"
        codes = [
            bytes(2 * (end - start)) if stored[file].format is None else file.read(stored[file], start, end)
            for file, start, end in runs
        ]
        places = base + series_of(name, b"".join(codes), form).cast(pl.UInt32)
    return pl.concat(parts).gather(places).alias(name)
