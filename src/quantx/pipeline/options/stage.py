"""Stage a member: judge its rows, sort them on disk, and put one data file per underlying and session into the lake.

The files are not visible before `commit_member`. Any process may stage, without a role. The names of the files come
from their bytes, and the rows from the member alone: staging again after a kill finds the files that are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from ulid import ULID

from quantx.core.deleted_rows import without_deleted
from quantx.core.option_tables import OPTIONS_CONTRACTS
from quantx.core.tables import QUARANTINE
from quantx.errors import MalformedPayload, QuantxError
from quantx.lake.store import LakeLocation
from quantx.lake.streamed_file import StreamedFile
from quantx.lake.tombstones import deleted_of
from quantx.pipeline.options.judge import Judge, PricesOf, no_prices
from quantx.pipeline.options.repeated import once
from quantx.pipeline.options.session_file import RowWriter
from quantx.pipeline.options.sorted_files import prefix_of
from quantx.pipeline.options.sorted_runs import RANK, SortedRuns
from quantx.pipeline.options.staged import StagedFile, StagedMember
from quantx.providers.options.kinds import TABLES_BY_KIND
from quantx.providers.options.protocol import OptionBatch, OptionMember

# Sessions that are open at the same time hold rows on the disk: of a member in the order of time, one is.
MOST_OPEN_ROWS = 2_500_000
TERMS = ("multiplier", "deliverable", "settlement")
_ORDER: dict[str, tuple[str, ...]] = {"quotes_1m": ("time",), "trades": ("time", "publisher", "sequence")}
_UNSEEN = np.iinfo(np.int32).max


def stage_member(
    member: OptionMember,
    folder: Path,
    *,
    location: LakeLocation,
    raw: str,
    prices: PricesOf = no_prices,
) -> StagedMember:
    """Put the rows of a member into the lake as files that are not visible yet; return them and what was rejected.

    `raw` is the ULID of the member's raw object: its time is when the rows became known. `prices` are those of an
    underlying in a session. Temporary files lie in `folder`. Raises MalformedPayload where the member's bytes are not
    what they claim, LakeError where the lake or the disk fails; the files that were put are removed then.
    """
    if member.facts.kind is None:
        raise ValueError(f"no table takes the schema {member.facts.schema}")
    stage = _Stage(member, folder, location, raw, prices)
    try:
        for batch in member.batches():
            stage.add(batch)
        return stage.finish()
    except QuantxError:
        stage.undo()
        raise
    finally:
        stage.discard()


class _Stage:
    """The staging of one member."""

    def __init__(self, member: OptionMember, folder: Path, location: LakeLocation, raw: str, prices: PricesOf) -> None:
        facts = member.facts
        assert facts.kind is not None
        self._kind, self._facts, self._folder, self._location, self._raw = facts.kind, facts, folder, location, raw
        self._table = TABLES_BY_KIND[facts.kind]
        self._known_from = ULID.from_str(raw).datetime
        # By rank: the contracts of an underlying are neighbours, in the order of the rows of its file.
        order = member.contracts.with_row_index("__index").sort("underlying", maintain_order=True)
        self._ranks = pl.Series(RANK, np.argsort(order["__index"].to_numpy()).astype(np.uint32))
        self._contracts = order.drop("__index")
        self._stones = [stone for stone in deleted_of(location).stones if stone.source == facts.source]
        self._first_seen = np.full(self._contracts.height, _UNSEEN, np.int32)
        self._judge = Judge(facts.kind, facts.source, self._contracts, prices)
        self._writer = RowWriter(
            table=self._table,
            contracts=self._contracts,
            source=facts.source,
            raw=raw,
            known_from=self._known_from,
        )
        self._open: dict[date, SortedRuns] = {}
        self._closed: set[date] = set()
        self._daily: list[pl.DataFrame] = []
        self._terms: list[pl.DataFrame] = []
        self._files: list[StagedFile] = []
        self._rows = self._repeated = 0

    def add(self, batch: OptionBatch) -> None:
        """Take the rows of one batch."""
        if batch.rejected is not None and batch.rejected.height:
            self._judge.rejections.add_unusable(batch.date, batch.rejected)
        if batch.rows.is_empty():
            return
        rows = batch.rows.with_columns(self._ranks.gather(batch.rows["contract_index"])).drop("contract_index")
        rows = self._without_deleted(batch.date, rows)
        rows = self._judge.accepted(batch.date, rows)
        self._note_seen(batch.date, rows)
        if self._kind == "contracts":
            self._terms.append(rows)
        elif "month" in self._table.partitions:
            self._add_to_session(batch.date, rows)
        else:
            self._daily.append(rows.with_columns(pl.lit(batch.date).alias("date")))

    def _without_deleted(self, day: date, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows without those of underlyings and days that were deleted for good."""
        if not self._stones:
            return rows
        placed = rows.with_columns(
            pl.lit(self._facts.source).alias("source"),
            self._contracts["underlying"].gather(rows[RANK]).alias("underlying"),
            pl.lit(day).alias("date"),
        )
        return without_deleted(self._table, placed, self._stones).select(rows.columns)

    def _note_seen(self, day: date, rows: pl.DataFrame) -> None:
        ranks = rows[RANK].to_numpy()
        self._first_seen[ranks] = np.minimum(self._first_seen[ranks], (day - date(1970, 1, 1)).days)

    def _add_to_session(self, day: date, rows: pl.DataFrame) -> None:
        if day in self._closed:
            raise MalformedPayload(
                f"the rows of {day} come again after those of later days; sort the member by time and import it again"
            )
        if day not in self._open:
            for earlier in sorted(each for each in self._open if each < day):
                if sum(runs.rows for runs in self._open.values()) < MOST_OPEN_ROWS:
                    break
                self._close_session(earlier)
            self._open[day] = SortedRuns(self._folder, self._contracts.height, _ORDER[self._kind])
        self._open[day].add(rows)

    def _close_session(self, day: date) -> None:
        """Write the rows of a session as one file for each underlying."""
        runs = self._open[day]
        key = [RANK, *_ORDER[self._kind]]
        values = [c for c in self._table.values if c in self._table.schema]
        file: _OpenFile | None = None
        for rows in runs.ranges():
            kept, earlier, same = once(rows, key, values)
            self._judge.rejections.add(day, earlier)
            self._repeated += same
            for underlying, part in self._by_underlying(kept):
                if file is None or file.underlying != underlying:
                    self._put(file)
                    file = self._file(underlying, day, day)
                self._writer.write(file.streamed, part.with_columns(pl.lit(day).alias("date")))
        self._put(file)
        runs.discard()
        del self._open[day]
        self._closed.add(day)

    def _close_daily(self) -> None:
        """Write the rows of days as one file for each underlying and year."""
        if not self._daily:
            return
        rows = pl.concat(self._daily).sort("date", RANK, maintain_order=True)
        rows, earlier, same = once(rows, ["date", RANK], list(self._table.values))
        self._repeated += same
        for (day,), part in earlier.group_by("date", maintain_order=True):
            assert isinstance(day, date)
            self._judge.rejections.add(day, part)
        for underlying, of_underlying in self._by_underlying(rows.sort(RANK, maintain_order=True)):
            by_year = of_underlying.sort("date", RANK).group_by(pl.col("date").dt.year(), maintain_order=True)
            for _, part in by_year:
                file = self._file(underlying, part["date"][0], part["date"][-1])
                self._writer.write(file.streamed, part)
                self._put(file)

    def _by_underlying(self, rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield rows, which are in the order of their ranks, by underlying."""
        names = self._contracts["underlying"]
        lengths = names.rle().struct.unnest()
        ends = lengths["len"].cum_sum()
        cuts = np.searchsorted(rows[RANK].to_numpy(), ends.to_numpy())
        start = 0
        for underlying, end in zip(lengths["value"], cuts.tolist(), strict=True):
            if end > start:
                yield underlying, rows[start:end]
            start = end

    def _file(self, underlying: str, first: date, last: date) -> _OpenFile:
        path = self._folder / f"{self._table.name}-{len(self._files)}.parquet"
        return _OpenFile(underlying, first, last, StreamedFile(self._table, path))

    def _put(self, file: _OpenFile | None) -> None:
        if file is None:
            return
        period = file.first.year * 100 + file.first.month if "month" in self._table.partitions else file.first.year
        partition = dict(zip(self._table.partitions, (file.underlying, str(period)), strict=True))
        self._rows += file.streamed.rows
        put = file.streamed.put(self._location, partition, prefix_of(file.first, file.last))
        bounds = json.loads(put.added.statistics)
        contracts = bounds["minValues"]["contract"], bounds["maxValues"]["contract"]
        self._files.append(
            StagedFile(underlying=file.underlying, first=file.first, last=file.last, contracts=contracts, put=put)
        )

    def finish(self) -> StagedMember:
        """Write what is open; return the result."""
        for day in sorted(self._open):
            self._close_session(day)
        self._close_daily()
        rejections, source = self._judge.rejections, self._facts.source
        rejected = rejections.quarantine(self._contracts, self._table, source, self._raw, self._known_from)
        return StagedMember(
            kind=self._kind,
            source=self._facts.source,
            raw=self._raw,
            known_from=self._known_from,
            first=self._facts.first,
            last=self._facts.last,
            files=self._files,
            contracts=self._seen_contracts(),
            rejected=without_deleted(QUARANTINE, rejected, self._stones),
            findings=self._judge.findings(),
            rows=self._rows,
            rows_rejected=rejections.rows,
            rows_repeated=self._repeated,
        )

    def _seen_contracts(self) -> pl.DataFrame:
        """Return the contracts with a row, as rows of their table."""
        first = pl.Series("first_date", self._first_seen).cast(pl.Date)
        seen = pl.Series(self._first_seen != _UNSEEN)
        contracts = self._contracts.with_columns(first).with_row_index(RANK).filter(seen)
        if self._terms:
            terms = pl.concat(self._terms).unique(RANK, keep="last").select(RANK, *TERMS)
            contracts = contracts.drop(TERMS).join(terms, on=RANK)
        return contracts.with_columns(
            pl.lit(self._facts.source).alias("source"),
            pl.lit(self._raw).alias("raw"),
            pl.lit(self._known_from, pl.Datetime("us", "UTC")).alias("known_from"),
        ).select(pl.col(c).cast(t) for c, t in OPTIONS_CONTRACTS.schema.items())

    def undo(self) -> None:
        """Remove the files that were put into the lake by this try."""
        new = [f"{self._table.path}/{file.put.added.path}" for file in self._files if file.put.is_new]
        self._location.delete(new)

    def discard(self) -> None:
        """Remove the temporary files."""
        for runs in self._open.values():
            runs.discard()


@dataclass(frozen=True)
class _OpenFile:
    underlying: str
    first: date
    last: date
    streamed: StreamedFile
