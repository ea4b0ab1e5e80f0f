"""Queries of datasets of facts: ESG metrics, and any other declared dataset."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quantx.core.fundamentals.newest import RANK
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, On, did_you_mean, to_date, to_texts, to_vendor
from quantx.reader.filers import FILER, FilerQueries, Filers
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

_ESG = "esg"


class FactRowQueries(FilerQueries):
    """Rows of datasets that are facts about companies."""

    def esg(
        self,
        symbols: Filers,
        metrics: str | Sequence[str] | None = None,
        *,
        public_by: Day | None = None,
        as_of: Day | None = None,
        on: On | None = None,
        start: Day | None = None,
        end: Day | None = None,
        source: str | None = None,
        history: bool = False,
    ) -> pl.DataFrame:
        """Return facts about environment, social matters and governance, sorted by symbol, metric and end.

        Columns: symbol (as requested), cik, metric, unit, start (null: an instant), end, value, method (reported,
        estimated or target), licence, form, accession, filed, public_at (UTC), public_how, source, filer, known_from.
        docs/how-to/read-esg-facts.md lists the metrics. There are no scores. The arguments are those of `dataset_rows`.
        """
        return self.dataset_rows(
            _ESG,
            symbols,
            metrics,
            public_by=public_by,
            as_of=as_of,
            on=on,
            start=start,
            end=end,
            source=source,
            history=history,
        )

    @one_state
    def dataset_rows(
        self,
        dataset: str,
        symbols: Filers,
        items: str | Sequence[str] | None = None,
        *,
        public_by: Day | None = None,
        as_of: Day | None = None,
        on: On | None = None,
        start: Day | None = None,
        end: Day | None = None,
        source: str | None = None,
        history: bool = False,
    ) -> pl.DataFrame:
        """Return the facts of a declared dataset: of each fact the last value that was public, or with `history` all.

        Columns: those of the dataset's table without the partitions and `raw`, and filer (the series in the lake).
        `items` limits the column that the dataset declares as its item; `start` and `end` limit the last day of the
        period. Of two sources the first one in the setting `sources` counts, else sec. The other arguments are those
        of `fundamentals`.

        Warns with IncompleteData of symbols without rows. Raises ConfigError for a dataset or an item that is unknown,
        and NotInLake for a symbol or source that the lake does not know.
        """
        from quantx.core.fact_datasets import DATASETS  # imported late: it loads all rules

        if dataset not in DATASETS:
            raise ConfigError(f"there is no dataset {dataset!r}; the datasets are {', '.join(sorted(DATASETS))}")
        declared = DATASETS[dataset]
        if not declared.of_companies:
            raise ConfigError(f"{dataset} are published rates, not facts about companies; use lake.rates or lake.fx")
        table, item = declared.table, declared.item_column
        moment = PointInTime.of_filings(as_of, public_by, self._sessions)
        requests = self._filer_requests(symbols, on)
        wanted = Selection(source=to_vendor(source))
        for day, limit in ((to_date(start), pl.col("end").__ge__), (to_date(end), pl.col("end").__le__)):
            wanted = wanted if day is None else wanted.filtered(limit(pl.lit(day)))
        names = None if items is None else to_texts(items, "items")
        if names is not None:
            wanted = wanted.filtered(pl.col(item).is_in(names))
        rows = self._filed_rows(table, requests, wanted, moment)
        if names is not None and (absent := sorted(set(names).difference(rows[item].unique()))):
            known = set(self._stored.rows(table, columns=[item])[item].unique())
            if known and absent[0] not in known:
                raise ConfigError(f"unknown {item} {absent[0]!r}{did_you_mean(absent[0], known)}")
        self._check_filed(table, requests, rows, wanted, moment)
        rows = rows.sort(RANK, "public_at", "filed", descending=[True, False, False])
        if not history:
            rows = rows.unique(["symbol", *declared.identity], keep="last", maintain_order=True)
        hidden = ("year", "raw", "source", "known_from")
        columns = [name for name in table.schema if name not in hidden]
        return rows.select(*columns, "source", FILER, "known_from").sort("symbol", item, "end", "public_at")
