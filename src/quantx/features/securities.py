"""The rows of sets that are functions of one security: of its bars, forward returns, or fundamentals."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import polars as pl

from quantx.core.features.compute import compute
from quantx.core.features.feature import FeatureSet
from quantx.core.features.labels import longest_horizon
from quantx.core.features.record import BuildRecord
from quantx.core.features.tables import table_of
from quantx.core.features.tail import carried_names, rows_before, short_tails
from quantx.errors import IncompleteData
from quantx.features.engines import Engine
from quantx.features.engines.local import local_tails
from quantx.features.inputs import BuildInputs, Stale, since_first
from quantx.features.sources import Chunk, OnProgress, Read, joined_scope
from quantx.reader.feature_changes import EVERYTHING
from quantx.reader.feature_values import kind_of

_Portion = tuple[Sequence[Stale], pl.DataFrame]  # securities, and their rows from the first stale day of each on


class RowsBySecurity:
    """The rows of a set by security. `symbols`: those to add to the table; None: every series."""

    def __init__(
        self,
        inputs: BuildInputs,
        feature_set: FeatureSet,
        engine: Engine,
        symbols: Sequence[str] | None,
        on_progress: OnProgress,
    ) -> None:
        self._inputs, self._set, self._engine = inputs, feature_set, engine
        self._features, self._table = feature_set.features, table_of(feature_set)
        self._kind = kind_of(feature_set.features)
        self._symbols, self._on_progress = symbols, on_progress
        self._stale: list[Stale] = []

    def plan(self, record: BuildRecord | None, since: date | None) -> int:
        """Find the securities that are out of date; see RowSource."""
        if record is None:
            self._stale = self._inputs.securities(self._symbols)
        else:
            self._stale = self._inputs.stale(self._set, record, self.scope(record)["symbols"], since)
        return len(self._stale)

    def scope(self, record: BuildRecord | None) -> dict[str, Sequence[str] | None]:
        """Return the symbols of the table after the build; see RowSource."""
        return {"symbols": joined_scope(record, self._symbols)}

    def portions(self) -> Iterator[tuple[Read, pl.DataFrame]]:
        """Yield rows and what reads the stored ones; see RowSource."""
        rows = {"fundamental": self._sessions, "option": self._sessions, "label": self._labels}.get(
            self._kind, self._series
        )
        for stale, found in rows(self._stale):
            requests = [each.request for each in stale]
            yield partial(self._inputs.stored_rows, self._table, stale), self._inputs.of_day(found, requests)

    def chunks(self) -> Sequence[Chunk]:
        """Return the planned securities in chunks; see RowSource."""
        return [Chunk([each.request for each in chunk]) for chunk in self._inputs.chunks(self._stale)]

    def chunk_rows(self, chunk: Chunk) -> pl.DataFrame:
        """Return all rows of securities; see RowSource."""
        self._stale = [Stale(each) for each in chunk.requests]
        return pl.concat([rows for _, rows in self.portions()])

    def _series(self, securities: Sequence[Stale]) -> Iterator[_Portion]:
        """Yield the tails of series; those without enough rows before, or a sum to go on from, are computed whole."""
        tails = [each for each in securities if each.first != EVERYTHING]
        whole = [each for each in securities if each.first == EVERYTHING]
        need, names = rows_before(self._features), carried_names(self._features)
        for chunk in self._inputs.tail_chunks(tails, need):
            bars, last = self._inputs.tail_bars(chunk, need)
            last = self._inputs.with_stored(self._table, chunk, last, names)
            symbols = {each.symbol for each in chunk}
            short = symbols.difference(last["symbol"]).union(short_tails(self._features, bars, last))
            whole += [each for each in chunk if each.symbol in short]
            ready = [each for each in chunk if each.symbol not in short]
            if short:
                bars, last = (rows.filter(~pl.col("symbol").is_in(list(short))) for rows in (bars, last))
            if ready:
                values = local_tails(self._features, bars, last)
                own = bars.join(
                    values.select("symbol", "date"), on=["symbol", "date"], how="semi", maintain_order="left"
                )
                yield ready, self._inputs.feature_rows(self._features, own, values)
        yield from self._whole(whole)

    def _whole(self, securities: Sequence[Stale]) -> Iterator[_Portion]:
        """Yield rows that are computed from all bars of their security."""
        waiting: list[tuple[Sequence[Stale], pl.DataFrame]] = []
        chunks = self._inputs.chunks(securities)

        def read() -> Iterator[pl.DataFrame]:
            for chunk in chunks:
                bars = self._inputs.series_bars([each.request for each in chunk])
                waiting.append((chunk, bars.select("symbol", "date", "source", "known_from")))
                yield bars

        for done, values in enumerate(self._engine.run(self._set, self._set.names, read()), 1):
            chunk, bars = waiting.pop(0)
            self._on_progress(done, len(chunks))
            wanted = since_first(chunk, bars)
            if wanted is not None:
                bars, values = bars.filter(wanted), values.filter(wanted)
            yield chunk, self._inputs.feature_rows(self._features, bars, values)

    def _labels(self, securities: Sequence[Stale]) -> Iterator[_Portion]:
        """Yield labels, also those of the rows before the first stale day that use its bars."""
        tails = [each for each in securities if each.first != EVERYTHING]
        whole = [each for each in securities if each.first == EVERYTHING]
        need = longest_horizon(self._features)
        for chunk in self._inputs.tail_chunks(tails, need):
            bars, _ = self._inputs.tail_bars(chunk, need)
            firsts = {each.symbol: each.first for each in chunk}
            first = pl.col("symbol").replace_strict(firsts, return_dtype=pl.Date)
            spans = bars.group_by("symbol").agg(pl.col("date").min(), (pl.col("date") < first).sum().alias("before"))
            begins = {symbol: begin for symbol, begin, before in spans.iter_rows() if before >= need}
            whole += [replace(each, first=EVERYTHING) for each in chunk if each.symbol not in begins]
            ready = [replace(each, first=begins[each.symbol]) for each in chunk if each.symbol in begins]
            bars = bars.filter(pl.col("symbol").is_in(list(begins)))
            if ready:
                yield ready, self._inputs.feature_rows(self._features, bars, compute(self._features, bars))
        for chunk in self._inputs.chunks(whole):
            bars = self._inputs.series_bars([each.request for each in chunk])
            yield chunk, self._inputs.feature_rows(self._features, bars, compute(self._features, bars))

    def _sessions(self, securities: Sequence[Stale]) -> Iterator[_Portion]:
        """Yield the values of fundamentals or of options of each bar's session."""
        read = self._inputs.option_rows if self._kind == "option" else self._inputs.fundamental_rows
        by_day = sorted(securities, key=lambda each: (each.first, each.symbol))
        for chunk in self._inputs.session_chunks(by_day):
            first = min(each.first for each in chunk)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", IncompleteData)  # most securities of a lake may have no filings
                rows = read(self._features, [each.request for each in chunk], first)
            wanted = since_first(chunk, rows)
            yield chunk, rows if wanted is None else rows.filter(wanted)
