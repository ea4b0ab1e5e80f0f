"""Find and understand the files of an import: which symbols and days they have, and what can't be imported."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from quantx.errors import InvalidSymbol
from quantx.pipeline.importing.known import KnownPages
from quantx.providers.importing.found import FileReader, FoundFile, LeftOut, digest, find_files
from quantx.providers.importing.options import ImportOptions
from quantx.providers.importing.provider import FilePart, Spooled
from quantx.providers.importing.read import read_file
from quantx.providers.importing.understand import NoBars, Understood, understand
from quantx.providers.importing.values import Undeclared
from quantx.providers.reply_values import FORM_ERRORS, form_problem

_THREADS = 2
_AHEAD = 32  # files that are read at a time: their contents are in memory


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file, or the part of one symbol, that is not imported."""

    address: str
    why: str
    undeclared: bool = False  # an option would make it importable


@dataclass
class Scan:
    """The result of reading files."""

    files: int = 0
    parts: list[FilePart] = field(default_factory=list)
    refused: list[RefusedFile] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)  # no tables of bars: no failure
    known: int = 0  # parts of files that were imported as they are


class Scanner:
    """Reads files into parts; those of files with several symbols are kept in a folder of temporary files."""

    def __init__(
        self,
        options: ImportOptions,
        reader: FileReader,
        spool: Path,
        known: KnownPages,
        named: Callable[[str], str] = lambda address: address,
    ) -> None:
        self._options, self._reader, self._spool, self._named = options, reader, spool, named
        self._known, self._given = known, options.digest
        self._spooled = itertools.count()

    def scan(self, paths: Sequence[Path], on_file: Callable[[int], None] = lambda files: None) -> Scan:
        """Read all files below some paths."""
        scan = Scan()
        with ThreadPoolExecutor(_THREADS) as threads:
            for some in _in_portions(find_files(paths), _AHEAD):
                for result in threads.map(self._read, some):
                    if isinstance(result, LeftOut):
                        failed = [RefusedFile(self._named(result.address), result.why)] if result.is_failure else []
                        scan.refused += failed
                        scan.left_out += [] if failed else [result]
                        continue
                    scan.files += 1
                    if isinstance(result, int):
                        scan.known += result
                        continue
                    for each in result:
                        if isinstance(each, FilePart):
                            scan.parts.append(each)
                        elif isinstance(each, LeftOut):
                            scan.left_out.append(each)
                        else:
                            scan.refused.append(each)
                    on_file(scan.files)
        scan.parts = _without_conflicts(scan, self._rows_of)
        return scan

    def _read(self, found: FoundFile | LeftOut) -> LeftOut | int | list[FilePart | RefusedFile | LeftOut]:
        """Return the parts of a file, or their number where all of them were imported before."""
        if isinstance(found, LeftOut):
            return found
        try:
            body = self._reader.read(found)
            sha256 = digest(body)
            return self._known.parts_of(self._named(found.address), sha256, self._given) or self._parts(
                found, body, sha256
            )
        except NoBars as none:
            return [LeftOut(self._named(found.address), str(none), is_failure=False)]
        except (Undeclared, InvalidSymbol) as error:
            return [RefusedFile(self._named(found.address), str(error), undeclared=isinstance(error, Undeclared))]
        except FORM_ERRORS as error:
            return [RefusedFile(self._named(found.address), form_problem(error))]

    def _parts(self, found: FoundFile, body: bytes, sha256: str) -> list[FilePart | RefusedFile | LeftOut]:
        parts = list[FilePart | RefusedFile | LeftOut]()
        spool: Path | None = None
        for each in understand(found, body, self._options):
            if isinstance(each, InvalidSymbol):
                parts.append(RefusedFile(self._named(found.address), str(each)))
                continue
            place: FoundFile | Spooled = found
            if each.body is not None:
                spool = spool or self._spool / f"{next(self._spooled)}.part"
                place = _spooled(spool, each.body)
            parts.append(_part(each, self._named(found.address), sha256, place))
        count = sum(isinstance(each, FilePart) for each in parts)
        return [replace(each, given=self._given, parts=count) if isinstance(each, FilePart) else each for each in parts]

    def _rows_of(self, part: FilePart) -> pl.DataFrame:
        if isinstance(part.place, Spooled):
            with part.place.path.open("rb") as file:
                file.seek(part.place.offset)
                body = file.read(part.place.length)
        else:
            body = self._reader.read(part.place)
        return read_file(body, part.form, part.symbol).rows


def _spooled(path: Path, body: bytes) -> Spooled:
    with path.open("ab") as file:
        offset = file.tell()
        file.write(body)
    return Spooled(path, offset, len(body))


def _part(each: Understood, address: str, sha256: str, place: FoundFile | Spooled) -> FilePart:
    return FilePart(
        each.symbol,
        each.form,
        each.first,
        each.last,
        each.rows.rows.height,
        address,
        sha256,
        place,
    )


def _in_portions(found: Iterable[FoundFile | LeftOut], size: int) -> Iterator[list[FoundFile | LeftOut]]:
    rest = iter(found)
    while some := list(itertools.islice(rest, size)):
        yield some


def by_series(parts: Iterable[FilePart]) -> Mapping[tuple[str, str], list[FilePart]]:
    """Return the parts of each timeframe and symbol in the order of their days."""
    series = defaultdict[tuple[str, str], list[FilePart]](list)
    for part in parts:
        series[part.form.timeframe, part.symbol].append(part)
    for some in series.values():
        some.sort(key=lambda part: (part.first, part.last, part.address))
    return series


def _without_conflicts(scan: Scan, rows_of: Callable[[FilePart], pl.DataFrame]) -> list[FilePart]:
    """Return the parts without copies, and without those of a symbol whose files contradict each other."""
    kept: list[FilePart] = []
    for (timeframe, symbol), parts in by_series(scan.parts).items():
        distinct = list({part.key: part for part in reversed(parts)}.values())[::-1]
        pair = next(
            (
                (a, b)
                for a, b in itertools.combinations(distinct, 2)
                if b.first <= a.last and a.first <= b.last and _contradict(rows_of(a), rows_of(b), timeframe)
            ),
            None,
        )
        if pair is None:
            kept += distinct
            continue
        why = (
            f"{pair[0].address} and {pair[1].address} have other values of {symbol} for the same days, and which are"
            " right is unknown: import one of them"
        )
        scan.refused.append(RefusedFile(symbol, why))
    return kept


def _contradict(a: pl.DataFrame, b: pl.DataFrame, timeframe: str) -> bool:
    """Return whether two frames have different prices or volumes of a common day or minute."""
    key = "date" if timeframe == "1d" else "time"
    values = ["open", "high", "low", "close", "volume"]
    common = a.select(key, *values).join(b.select(key, *values), on=key, suffix="_b")
    same = pl.all_horizontal(
        pl.col(name).is_close(pl.col(f"{name}_b"), rel_tol=1e-9) | pl.col(name).eq_missing(pl.col(f"{name}_b"))
        for name in values
    )
    # A job that stored a running session and then the final bar has both in one file: one equal row is enough.
    agreed = common.with_columns(same=same.fill_null(False)).group_by(key).agg(pl.col("same").any())
    return not agreed["same"].all()
