"""Sorted rows of a session with ranks → rows of the table, written in parts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
import pyarrow as pa

from quantx.core.option_tables import CONTRACT_COLUMNS
from quantx.core.table import Table
from quantx.lake.files import ROW_GROUP
from quantx.lake.streamed_file import StreamedFile
from quantx.pipeline.options.sorted_runs import RANK


@dataclass(frozen=True, kw_only=True)
class RowWriter:
    """Writes rows by rank with the texts of their contracts, which are gathered as dictionaries."""

    table: Table
    contracts: pl.DataFrame  # by rank
    source: str
    raw: str
    known_from: datetime

    def write(self, file: StreamedFile, rows: pl.DataFrame) -> None:
        """Write rows in the order of their ranks; they have `date` and the values of the table."""
        values = rows.drop(RANK).to_arrow(compat_level=pl.CompatLevel.oldest())
        ranks = rows[RANK].to_numpy()
        for start in range(0, rows.height, ROW_GROUP):
            part = values.slice(start, ROW_GROUP)
            file.write(self._with_contracts(part, ranks[start : start + ROW_GROUP]))

    def _with_contracts(self, part: pa.Table, ranks: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> pa.Table:
        columns = dict(zip(part.column_names, part.columns, strict=True))
        first, last = int(ranks.min()), int(ranks.max())
        places = pa.array((ranks - first).astype(np.int32))
        near = self.contracts[first : last + 1]
        for name in CONTRACT_COLUMNS:
            of_contracts = near[name].to_arrow(compat_level=pl.CompatLevel.oldest())
            if near[name].dtype == pl.String:
                columns[name] = _dictionary(of_contracts, places)
            else:
                columns[name] = of_contracts.take(places)
        constant = pa.array(np.zeros(len(ranks), np.int32))
        columns["source"] = pa.DictionaryArray.from_arrays(constant, pa.array([self.source]))
        columns["raw"] = pa.DictionaryArray.from_arrays(constant, pa.array([self.raw]))
        columns["known_from"] = pa.repeat(pa.scalar(self.known_from, pa.timestamp("us", "UTC")), len(ranks))
        names = [c for c in self.table.schema if c not in self.table.partitions]
        return pa.table({name: columns[name] for name in names})


def _dictionary(of_contracts: pa.Array, places: pa.Array) -> pa.DictionaryArray:
    """Return texts by place; each text stands in the dictionary once."""
    encoded = of_contracts.cast(pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(places), encoded.dictionary)
