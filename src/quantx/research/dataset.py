"""The training table of a study: members of each date, features known at its close, and the label.

The same lake and the same study give the same bytes. Nothing after the study's end is read.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from quantx import __version__
from quantx.core.table import INSTANT
from quantx.errors import ConfigError, IncompleteData
from quantx.reader.lake import Lake
from quantx.reader.provenance import provenance
from quantx.research.absences import absences
from quantx.research.feature_rows import feature_rows, who_of
from quantx.research.labels import ended_columns, forward_returns, price_matrix
from quantx.research.study import Study
from quantx.research.study_features import study_features

TABLE, PRICES, FACTS = "table.parquet", "prices.parquet", "dataset.json"
_FIRST_CLOSE = timedelta(hours=6)  # of a session in UTC: Tokyo's, until 2024
ENDED_AFTER = 10  # sessions without a bar at the end of the study, after which a security has ended


@dataclass(frozen=True)
class Dataset:
    """A training table and what it was made of."""

    table: pl.DataFrame  # date, symbol, a column per feature, label, label_end; sorted by date and symbol
    prices: pl.DataFrame  # date and a column per symbol: closes adjusted for splits and dividends; null: no bar
    facts: Mapping[str, Any]

    @property
    def features(self) -> list[str]:
        """Return the columns of the features."""
        return [name for name in self.table.columns if name not in ("date", "symbol", "label", "label_end")]

    @property
    def hash(self) -> str:
        """Return the hash of the contents and of the study's part that made them."""
        return str(self.facts["hash"])


def build_dataset(lake: Lake, study: Study) -> Dataset:
    """Return the training table of a study; ConfigError where the study or the lake has nothing to make it of."""
    chosen = study_features(study.features)
    versions: dict[str, int] = {}
    with lake.pin(), _remarks() as remarks:
        prices, member = prices_and_members(lake, study, study.start, study.end, versions)
        features = feature_rows(lake, study, chosen, study.start, study.end)
        versions |= provenance(features).tables
    if prices.is_empty():
        raise ConfigError(f"the lake has no bars of the study's securities from {study.start} to {study.end}")
    ended = ended_columns(price_matrix(prices), ENDED_AFTER)
    rows = _rows(study, prices, member, ended)
    table = rows.join(features, on=["symbol", "date"], how="left", maintain_order="left")
    table, late = without_late_values(table, chosen.columns, prices["date"], study.label.entry_lag)
    table = table.select("date", "symbol", *chosen.columns, "label", "label_end")
    facts = {
        "study": study.dataset_part,
        "tables": versions,
        "features": chosen.hash,
        "rows": table.height,
        "dates": table["date"].n_unique(),
        "symbols": table["symbol"].n_unique(),
        "labelled": table.height - table["label"].null_count(),
        "late_rows": late,
        "absences": absences(prices, member, table, ended),
        "remarks": [*remarks, *_late_remark(late)],
        "program": __version__,
    }
    return _with_hash(table, prices, facts)


def prices_and_members(
    lake: Lake, study: Study, first: date, last: date | None, versions: dict[str, int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the panel of adjusted closes, and a Boolean panel of the same form: which securities were members.

    The versions of the tables that were read are added to `versions`.
    """
    span: dict[str, Any] = {"start": first, "end": last, "as_of": study.as_of}
    prices = lake.panel("close", **who_of(study), **span, adjust="total", base=last)
    versions |= provenance(prices).tables
    if study.universe is None:
        return prices, prices.with_columns(pl.lit(True).alias(name) for name in prices.columns[1:])
    mask = lake.membership(study.universe, **span, mask=True)
    versions |= provenance(mask).tables
    member = prices.select("date").join(mask, on="date", how="left", maintain_order="left")
    return prices, member.select("date", *(pl.col(name).fill_null(False) for name in prices.columns[1:]))


def _rows(study: Study, prices: pl.DataFrame, member: pl.DataFrame, ended: list[int]) -> pl.DataFrame:
    """Return date, symbol, label and label_end of each member with a bar, on each of the table's dates."""
    closes, label, days = price_matrix(prices), study.label, prices["date"]
    returns = forward_returns(closes, label.horizon, label.entry_lag, ended)
    chosen = np.zeros(closes.shape, dtype=bool)
    chosen[:: study.every] = (~np.isnan(closes) & member.drop("date").to_numpy())[:: study.every]
    at, column = np.nonzero(chosen)
    ends = days.shift(-(label.horizon + label.entry_lag))
    frame = pl.DataFrame(
        {
            "date": days.gather(at),
            "symbol": pl.Series(prices.columns[1:], dtype=pl.String).gather(column),
            "label": pl.Series(returns[at, column], nan_to_null=True),
            "label_end": ends.gather(at),
        }
    ).sort("date", "symbol")
    if label.name == "forward_excess":
        frame = frame.with_columns(pl.col("label") - pl.col("label").mean().over("date"))
    return frame.with_columns(pl.when(pl.col("label").is_not_null()).then("label_end").alias("label_end"))


def without_late_values(
    table: pl.DataFrame, columns: list[str], sessions: pl.Series, lag: int
) -> tuple[pl.DataFrame, int]:
    """Return a table without the features that were public only when the position was entered, and their rows.

    A position is entered at a close `lag` sessions later; the exchanges close at 6:00 UTC or later.
    """
    entries = pl.DataFrame({"date": sessions, "__entry": sessions.shift(-lag)})
    table = table.join(entries, on="date", how="left", maintain_order="left")
    is_late = (pl.col("public_at") >= pl.col("__entry").cast(INSTANT) + _FIRST_CLOSE).fill_null(False)
    late = int(table.select(is_late.sum()).item())
    shown = table.with_columns(pl.when(~is_late).then(pl.col(name)).alias(name) for name in columns)
    return shown.drop("__entry"), late


def _late_remark(rows: int) -> list[str]:
    if not rows:
        return []
    return [f"the features of {rows:,} rows were public only when the position is entered, and are null"]


def save_dataset(dataset: Dataset, folder: Path) -> None:
    """Write the table, the prices and the facts into the folder of a study."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / TABLE).write_bytes(_bytes(dataset.table))
        (folder / PRICES).write_bytes(_bytes(dataset.prices))
        (folder / FACTS).write_text(json.dumps(dataset.facts, indent=2, sort_keys=True) + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; choose another folder with --folder") from error


def load_dataset(folder: Path, study: Study) -> Dataset:
    """Read the dataset of a study; ConfigError where there is none, it is of another study, or it was changed."""
    again = "run `quantx research dataset` again"
    try:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        parts = [(folder / name).read_bytes() for name in (TABLE, PRICES)]
    except (OSError, ValueError):
        raise ConfigError(f"{folder} has no dataset of the study {study.name}; run `quantx research dataset`") from None
    if not isinstance(facts, dict) or not is_dataset_of(facts, study):
        raise ConfigError(
            f"the dataset in {folder} was made of another version of the study or of its features; {again}"
        )
    sums = [hashlib.sha256(part).hexdigest() for part in parts]
    if [*sums, _hash_of(facts, sums)] != [facts.get("sha256"), facts.get("prices_sha256"), facts.get("hash")]:
        raise ConfigError(f"the dataset in {folder} was changed after it was written; {again}")
    table, prices = (pl.read_parquet(io.BytesIO(part)) for part in parts)
    return Dataset(table, prices, facts)


def is_dataset_of(facts: Mapping[str, Any], study: Study) -> bool:
    """Return whether a dataset with these facts is that of a study, and of the features as they are defined now."""
    return bool(
        facts.get("study") == study.dataset_part and facts.get("features") == study_features(study.features).hash
    )


def ended_of(dataset: Dataset) -> list[int]:
    """Return the columns of the prices whose securities have ended, as the dataset noted them."""
    names = {each["symbol"] for each in dataset.facts["absences"] if each["ended"]}
    return [at for at, symbol in enumerate(dataset.prices.columns[1:]) if symbol in names]


def _with_hash(table: pl.DataFrame, prices: pl.DataFrame, facts: dict[str, Any]) -> Dataset:
    sums = [hashlib.sha256(_bytes(frame)).hexdigest() for frame in (table, prices)]
    facts |= {"sha256": sums[0], "prices_sha256": sums[1], "hash": _hash_of(facts, sums)}
    return Dataset(table, prices, facts)


def _hash_of(facts: Mapping[str, Any], sums: list[str]) -> str:
    """Return the hash of a dataset from what made it, and the SHA-256 of its table and prices."""
    made_of = json.dumps([facts["study"], facts["features"], *sums], sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()[:16]


def _bytes(frame: pl.DataFrame) -> bytes:
    """Return a frame as Parquet: equal frames give equal bytes."""
    out = io.BytesIO()
    frame.write_parquet(out, compression="zstd", compression_level=3, row_group_size=131_072)
    return out.getvalue()


@contextmanager
def _remarks() -> Iterator[list[str]]:
    """Collect the warnings of queries about missing data, each once."""
    remarks: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", IncompleteData)
        yield remarks
    remarks += sorted({str(each.message) for each in caught if issubclass(each.category, IncompleteData)})
