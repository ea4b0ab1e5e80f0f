"""From parts of files to tasks: those of a symbol together, minutes by month, with the splits of their prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from quantx.core.symbols import symbol_of
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.errors import ConfigError, InvalidSymbol
from quantx.lake.protocol import Tables
from quantx.pipeline.importing.scan import RefusedFile, by_series
from quantx.providers.importing.provider import Batch, FilePart, SharedSplits
from quantx.settings import source_of

NO_SPLITS = "none"  # a declaration that no symbol of the files had a split
_MOST_PARTS = 400  # of one task: its pages are stored together

SplitsOf = Callable[[str], Sequence[tuple[date, float]] | str]  # the splits of a symbol, or why they are not known


def batches_of(
    parts: Iterable[FilePart], splits: str | None, splits_of: SplitsOf | None
) -> tuple[list[Batch], list[RefusedFile]]:
    """Return what each task imports, and the symbols that can't be imported without their splits.

    `splits` names where they are from; `splits_of` returns them. Prices that are divided by splits need them, unless
    the files list them.
    """
    batches, refused = list[Batch](), list[RefusedFile]()
    for (timeframe, symbol), some in by_series(parts).items():
        needs = any(p.form.basis == "split_adjusted" and "split" not in p.form.columns for p in some)
        if not needs:
            batches += [Batch(tuple(group)) for group in _groups(some, timeframe)]
            continue
        listed = _why_splits() if splits_of is None else splits_of(symbol)
        if isinstance(listed, str):
            refused.append(RefusedFile(some[0].address, listed, undeclared=splits_of is None))
            continue
        through = max(part.last for part in some)
        shared = SharedSplits(splits or "", tuple((day, ratio) for day, ratio in listed if day <= through))
        # Each task has all splits up to the last of the files: their prices are divided by them.
        batches += [Batch(tuple(group), shared) for group in _groups(some, timeframe)]
    return batches, refused


def _why_splits() -> str:
    return (
        "its prices are divided by splits that it does not list: give --splits FILE.csv (symbol,date,ratio), --splits"
        " SOURCE (splits that this lake has from a vendor, as in --splits yahoo) or --splits none; or --basis"
        " total_adjusted, to store returns for comparisons only"
    )


def _groups(parts: Sequence[FilePart], timeframe: str) -> list[list[FilePart]]:
    """Return the parts of a series that are imported together: all of days, and minutes whose months overlap."""
    groups: list[list[FilePart]] = []
    last: tuple[int, int] | None = None
    for part in parts:
        first = (part.first.year, part.first.month)
        joins = groups and len(groups[-1]) < _MOST_PARTS and (timeframe == "1d" or (last is not None and first <= last))
        if joins:
            groups[-1].append(part)
        else:
            groups.append([part])
            last = None
        end = (part.last.year, part.last.month)
        last = end if last is None else max(last, end)
    return groups


def splits_from(given: str | None, tables: Tables) -> SplitsOf | None:
    """Return where the splits of symbols are from: a file, a source in the lake, or nowhere; None where not given.

    ConfigError where the file has another form.
    """
    if given is None:
        return None
    if given == NO_SPLITS:
        return lambda symbol: ()
    if given.lower().endswith((".csv", ".txt")):
        return _from_file(Path(given))
    return _from_lake(source_of(given), tables)


def _from_file(path: Path) -> SplitsOf:
    try:
        table = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError):
        raise ConfigError(f"--splits {path} is no CSV file that can be read") from None
    names = {name.strip().lower(): name for name in table.columns}
    if not {"symbol", "date", "ratio"} <= names.keys():
        raise ConfigError(f"--splits {path} needs the columns symbol, date and ratio (new shares per old one)")
    found: dict[str, list[tuple[date, float]]] = {}
    for number, (symbol, day, ratio) in enumerate(
        table.select(names["symbol"], names["date"], names["ratio"]).iter_rows(), start=2
    ):
        try:
            found.setdefault(symbol_of(symbol), []).append((date.fromisoformat(day), float(ratio)))
        except (InvalidSymbol, TypeError, ValueError):
            raise ConfigError(f"--splits {path}, line {number}: write it as in AAPL,2020-08-31,4") from None
    return lambda symbol: tuple(sorted(found.get(symbol, [])))


def _from_lake(source: str, tables: Tables) -> SplitsOf:
    rows = tables[ACTIONS.name].read((pl.col("source") == source) & (pl.col("kind") == "split"))
    known: Mapping[str, list[tuple[date, float]]] = {
        str(symbol): sorted(zip(part["ex_date"], part["value"], strict=True))
        for (symbol,), part in rows.group_by("symbol")
    }
    bars = tables[BARS_1D.name]
    firsts = bars.collect(
        bars.scan().filter(pl.col("source") == source).group_by("symbol").agg(pl.col("date").min().alias("first"))
    )
    having = set(firsts["symbol"])

    def splits_of(symbol: str) -> Sequence[tuple[date, float]] | str:
        if symbol not in having:
            return (
                f"{source} has no bars of {symbol} in this lake, so that its splits are not known: fetch them first,"
                f" `quantx backfill --start … --symbols {symbol} --source {source}`"
            )
        return tuple(known.get(symbol, []))

    return splits_of
