"""Export the lake's bars, by batches of symbols: read what changed, write what differs, remove what has gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from quantx.core.file_names import file_name
from quantx.core.preference import BEST
from quantx.core.symbols import market_of
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, INSTRUMENTS, SYMBOL_HISTORY, UNIVERSE_MEMBERS, VERDICTS
from quantx.errors import ConfigError
from quantx.reader.export.changes import Changes, StoredBars, versions
from quantx.reader.export.encodings import check_libraries, encoder, json_bytes
from quantx.reader.export.folder import REFERENCE, ExportFolder, Unit, exported_symbols
from quantx.reader.export.layouts import LAYOUTS, BarFiles
from quantx.reader.export.reference import ACTIONS_PATH, action_rows, reference_files
from quantx.reader.export.request import ExportReads, ExportRequest
from quantx.reader.export.selection import ExportedSecurity, security_of, selected, whole_lake
from quantx.reader.provenance import program_version

_ROWS = 250_000  # of a batch: about 200 MB of memory
_STEPS = 20  # of the progress, at least: batches have at most this part of the symbols
_READ = (BARS_1D, BARS_1M, ACTIONS, VERDICTS, SYMBOL_HISTORY, INSTRUMENTS, UNIVERSE_MEMBERS)
OnProgress = Callable[[int, int, str], None]  # symbols done, all symbols, the last one


@dataclass(frozen=True)
class ExportResult:
    """The outcome of an export."""

    folder: Path
    layout: str
    _: KW_ONLY
    symbols: int  # with files in the folder now
    changed: int  # symbols whose data changed since the last export
    written: int  # files
    unchanged: int
    removed: int
    bytes_written: int
    gone: tuple[str, ...]  # symbols whose files were removed: they have no bars, or left the selection
    missing: tuple[str, ...]  # requested symbols without bars in the window


def run_export(
    reads: ExportReads, folder: Path, request: ExportRequest, on_progress: OnProgress | None = None
) -> ExportResult:
    """Bring an export folder up to date with the lake; return what was written.

    Raises ConfigError if the folder can't be used: it has other files, another export, or the lake itself.
    """
    check_libraries(LAYOUTS[request.layout])
    folder = folder.expanduser().absolute()
    _check_apart(folder, reads.url)
    chosen = selected(reads, request, exported_symbols(folder))
    securities = [security_of(reads.history, symbol, on) for symbol, on in (chosen or {}).items()]
    symbols = None if chosen is None else {symbol for each in securities for symbol in each.stored}
    changes = Changes(reads.tables, request.timeframes, (request.start, request.end), symbols)
    _check_source(changes, request)
    if chosen is None:
        securities = [security_of(reads.history, symbol, on) for symbol, on in whole_lake(reads, changes).items()]
    with ExportFolder(folder, {"lake": reads.url, **request.settings}) as target:
        return _Export(reads, request, changes, target).run(securities, on_progress or _silent)


class _Export:
    """One export in progress."""

    def __init__(self, reads: ExportReads, request: ExportRequest, changes: Changes, target: ExportFolder) -> None:
        self._reads = reads
        self._request = request
        self._changes = changes
        self._target = target
        self._layout = LAYOUTS[request.layout]

    def run(self, securities: Sequence[ExportedSecurity], show: OnProgress) -> ExportResult:
        """Bring the folder up to date for these securities."""
        target = self._target
        securities = sorted(securities, key=lambda each: each.symbol)
        present = [each for each in securities if self._rows(each)]
        gone = sorted(set(target.units) - {each.symbol for each in present} - {REFERENCE})
        if self._request.symbols is not None:  # what another export has added since then stays
            gone = [name for name in gone if name in {each.symbol for each in securities}]
        for name in gone:
            target.drop(name)
        fingerprints = {each.symbol: self._fingerprint(each) for each in present}
        changed = [each for each in present if not self._is_current(each, fingerprints[each.symbol])]
        self._export_changed(changed, len(present), fingerprints, show)
        if self._layout.reference:
            self._export_reference(present)
        target.finish(
            {
                "table_versions": versions(self._reads.tables, [table.name for table in _READ]),
                "snapshot": self._reads.snapshot,
                "exported_at": datetime.now(UTC).isoformat(),
                "program": program_version(),
            }
        )
        names = {name for name, unit in target.units.items() if unit.files and name != REFERENCE}
        missing = sorted(set(self._request.symbols or ()) - names)
        return ExportResult(
            target.folder,
            self._layout.name,
            symbols=len(names),
            changed=len(changed),
            written=target.written,
            unchanged=target.unchanged,
            removed=target.removed,
            bytes_written=target.bytes_written,
            gone=tuple(gone),
            missing=tuple(missing),
        )

    def _export_changed(
        self,
        changed: Sequence[ExportedSecurity],
        total: int,
        fingerprints: Mapping[str, str],
        show: OnProgress,
    ) -> None:
        done = total - len(changed)
        show(done, total, "")
        for batch in self._batches(changed):
            files: dict[str, dict[str, tuple[int, str]]] = {each.symbol: {} for each in batch}
            for symbol, path, body in self._bodies(batch):
                files[symbol][path] = self._target.write(path, body, self._target.units.get(symbol))
            for each in batch:
                self._target.record(
                    Unit(
                        each.symbol,
                        fingerprints[each.symbol],
                        known_from=self._known_from(each),
                        files=files[each.symbol],
                    )
                )
            done += len(batch)
            show(done, total, batch[-1].symbol)

    def _bodies(self, batch: Sequence[ExportedSecurity]) -> Iterator[tuple[str, str, bytes]]:
        """Yield symbol, path and bytes of each file of a batch."""
        request, names, on = self._request, [each.symbol for each in batch], {each.symbol: each.on for each in batch}
        for timeframe, form in request.files.items():
            for source in self._sources(batch, timeframe, form):
                for start, end in self._windows(batch, timeframe):
                    bars = self._reads.bars(
                        names,
                        start,
                        end,
                        timeframe=timeframe,
                        adjust=request.adjust,
                        source=source,
                        extended=request.extended,
                        on=on,
                    )
                    encode = encoder(form.table(bars), form.encoding, ("source",) if form.by_source else ())
                    for symbol, path, at, length in form.slices(bars):
                        yield symbol, path, encode(at, length)
        if self._layout.reference:
            actions = action_rows(self._reads.actions(names, source=request.source, on=on))
            for (symbol,), rows in actions.group_by("symbol", maintain_order=True):
                yield str(symbol), ACTIONS_PATH.format(name=file_name(str(symbol))), json_bytes(rows)

    def _export_reference(self, present: Sequence[ExportedSecurity]) -> None:
        owners = {each.symbol: each.instrument for each in present}
        before, files = self._target.units.get(REFERENCE), {}
        for path, body in reference_files(self._reads.tables, self._reads.history, owners).items():
            files[path] = self._target.write(path, body, before)
        unit = Unit(REFERENCE, "", files=files)
        if before != unit:
            self._target.record(unit)

    def _is_current(self, each: ExportedSecurity, fingerprint: str) -> bool:
        unit = self._target.units.get(each.symbol)
        if unit is None or unit.fingerprint != fingerprint or not self._target.in_place(unit):
            return False
        self._target.keep(unit)
        return True

    def _fingerprint(self, each: ExportedSecurity) -> str:
        market = market_of(each.symbol) or ""
        orders = [self._reads.sources_of(timeframe, market) for timeframe in ("1d", *self._request.timeframes)]
        namings = [naming.describe() for s in each.stored for naming in self._reads.history.namings_of(s)]
        return self._changes.fingerprint(each.stored, (each.instrument, orders, namings))

    def _rows(self, each: ExportedSecurity) -> int:
        return sum(bars.rows for bars in self._stored(each))

    def _known_from(self, each: ExportedSecurity) -> str:
        return max(bars.known_from for bars in self._stored(each)).isoformat()

    def _stored(self, each: ExportedSecurity, timeframe: str | None = None) -> Iterator[StoredBars]:
        source = None if self._request.source == BEST else self._request.source
        for name in self._request.timeframes if timeframe is None else (timeframe,):
            for symbol in each.stored:
                bars = self._changes.stored[name].get(symbol)
                if bars is not None and (source is None or source in bars.sources):
                    yield bars

    def _batches(self, securities: Sequence[ExportedSecurity]) -> Iterator[list[ExportedSecurity]]:
        """Yield neighbours in the order of the tables, so that a batch reads few row groups."""
        batch: list[ExportedSecurity] = []
        rows, most = 0, -(-len(securities) // _STEPS)
        for each in securities:
            if batch and (rows + self._rows(each) > _ROWS or len(batch) == most):
                yield batch
                batch, rows = [], 0
            batch.append(each)
            rows += self._rows(each)
        if batch:
            yield batch

    def _sources(self, batch: Sequence[ExportedSecurity], timeframe: str, form: BarFiles) -> Sequence[str | None]:
        """Return the vendors to read one by one; None: the preferred bar of all vendors."""
        if self._request.source is not None or not form.by_source:
            return [self._request.source]
        return sorted({s for each in batch for bars in self._stored(each, timeframe) for s in bars.sources})

    def _windows(self, batch: Sequence[ExportedSecurity], timeframe: str) -> list[tuple[date | None, date | None]]:
        """Return the windows to read one by one: a year of minutes is as large as a century of sessions."""
        if timeframe == "1d":
            return [(self._request.start, self._request.end)]
        stored = [bars for each in batch for bars in self._stored(each, timeframe)]
        if not stored:
            return []
        years = range(min(bars.first for bars in stored).year, max(bars.last for bars in stored).year + 1)
        first, last = self._request.start or date.min, self._request.end or date.max
        return [(max(first, date(year, 1, 1)), min(last, date(year, 12, 31))) for year in years]


def _check_apart(folder: Path, url: str) -> None:
    """Raise ConfigError if the folder and the lake lie in each other."""
    if not url.startswith("file://"):
        return
    lake = Path(unquote(urlsplit(url).path)).resolve()
    target = folder.resolve()
    if target.is_relative_to(lake) or lake.is_relative_to(target):
        raise ConfigError(f"{folder} contains the lake or lies in it; export to another folder")


def _check_source(changes: Changes, request: ExportRequest) -> None:
    sources = {source for timeframe in request.timeframes for source in changes.sources(timeframe)}
    if sources and request.source not in (None, BEST, *sources):
        raise ConfigError(
            f"the lake has no such bars of the source {request.source!r}; it has some of {', '.join(sorted(sources))}"
        )


def _silent(done: int, total: int, symbol: str) -> None:
    """Show no progress."""
