"""Batch inference: predictions of a trained model into the lake's table `features/predictions`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from quantx.core.features.predictions import PREDICTIONS
from quantx.core.table import INSTANT
from quantx.errors import ConfigError, StateError
from quantx.lake.protocol import CommitContext
from quantx.pipeline.curating.compaction import MOST_FILES
from quantx.pipeline.curating.restate import StoredRows, read_stored, restate
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role
from quantx.reader.lake import Lake
from quantx.research.dataset import prices_and_members
from quantx.research.feature_rows import feature_rows
from quantx.research.study_features import study_features
from quantx.research.train import matrix_of

if TYPE_CHECKING:
    from quantx.pipeline.runtime.platform import Platform
    from quantx.research.artifacts import TrainedModel
    from quantx.research.study import Study

_KEY = ["study", "model", "symbol", "date"]


@dataclass(frozen=True)
class PredictionSummary:
    """What a run of inference wrote."""

    model: str
    rows: int
    first: date | None  # sessions
    last: date | None
    changed: bool  # False: the lake had all of these predictions


def predict_study(
    platform: Platform, study: Study, model: TrainedModel, first: date | None = None, last: date | None = None
) -> PredictionSummary:
    """Write the predictions of the members of each session from `first` to `last`, both inclusive.

    By default they are the sessions after the model's last prediction, or after its training rows, up to the newest.
    A repeated call changes nothing. ConfigError for sessions that the model was trained on.
    """
    start = first or _next_day(platform, model)
    if start <= model.last_date:
        raise ConfigError(
            f"the model {model.model_id} was trained on sessions up to {model.last_date}; predict later ones: its"
            " predictions of others are known already, and no test of it"
        )
    end = last or platform.clock.now().date()
    rows = predicted_rows(Lake(platform.location), study, model, start, end) if start <= end else PREDICTIONS.empty()
    if rows.is_empty():
        return PredictionSummary(model.model_id, 0, None, None, changed=False)
    days: Any = rows["date"]
    return PredictionSummary(model.model_id, rows.height, days.min(), days.max(), changed=_commit(platform, rows))


def predicted_rows(lake: Lake, study: Study, model: TrainedModel, first: date, last: date) -> pl.DataFrame:
    """Return the predictions of the members with a bar on each session: the columns of PREDICTIONS but known_from."""
    chosen = study_features(study.features)
    if (tuple(chosen.columns), chosen.hash) != (model.features, model.definitions):
        raise ConfigError(
            f"the model {model.model_id} has other features, or earlier definitions of them; run `quantx research"
            " train` again"
        )
    with lake.pin():
        prices, member = prices_and_members(lake, study, first, last, {})
        if prices.is_empty():
            return PREDICTIONS.empty().drop("known_from")
        features = feature_rows(lake, study, chosen, first, last)
    symbols = prices.columns[1:]
    members = member.unpivot(index="date", variable_name="symbol", value_name="member").filter("member")
    traded = prices.unpivot(index="date", variable_name="symbol", value_name="close").drop_nulls("close")
    rows = members.join(traded, on=["date", "symbol"]).join(features, on=["date", "symbol"])
    rows = rows.filter(pl.col("symbol").is_in(symbols)).sort("symbol", "date")
    # Whatever the session: nobody had this model before the last close in its labels.
    trained = datetime.combine(model.trained_through + timedelta(days=1), time(), UTC)
    return rows.select(
        pl.lit(model.study).alias("study"),
        pl.col("date").dt.year().cast(pl.Int32).alias("year"),
        pl.lit(model.model_id).alias("model"),
        "symbol",
        "date",
        pl.Series("prediction", model.fitted.predict(matrix_of(rows, chosen.columns))),
        pl.max_horizontal("public_at", pl.lit(trained).cast(INSTANT)).alias("public_at"),
    )


def _next_day(platform: Platform, model: TrainedModel) -> date:
    """Return the day after the model's last stored prediction, or after its training rows."""
    own = (pl.col("study") == model.study) & (pl.col("model") == model.model_id)
    stored: Any = platform.tables[PREDICTIONS.name].read(own)["date"].max()
    return (model.last_date if stored is None else stored) + timedelta(days=1)


def _commit(platform: Platform, rows: pl.DataFrame) -> bool:
    """Commit new and changed predictions under the role of features; return whether there were any."""

    def carry_out(holder: RoleHolder | None) -> bool:
        if holder is None:
            raise StateError("another process is writing features; try again when it has ended")
        table, now = platform.tables[PREDICTIONS.name], platform.clock.now()
        study, model = rows["study"][0], rows["model"][0]
        here = (pl.col("study") == study) & (pl.col("model") == model) & (pl.col("date") >= rows["date"].min())
        stored = read_stored(table, here)
        stored = StoredRows(stored.rows.join(rows, on=_KEY, how="semi"), stored.version)
        known = rows.with_columns(pl.lit(now).cast(INSTANT).alias("known_from")).select(list(PREDICTIONS.schema))
        changed = restate(platform.tables, PREDICTIONS, stored, known, now, holder)
        table.fold(CommitContext(by=holder), MOST_FILES)
        return changed

    return committing(partial(take_role, platform.location, platform.tables, platform.state, "features"), carry_out)
