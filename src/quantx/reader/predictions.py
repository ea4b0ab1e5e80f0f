"""Queries of predictions that models of studies made."""

from __future__ import annotations

import polars as pl

from quantx.core.features.predictions import PREDICTIONS
from quantx.reader.arguments import Day, On, Symbols, to_date, to_days, to_names, to_text
from quantx.reader.known_names import KnownNames
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

_SHOWN = ("symbol", "date", "prediction", "study", "model", "public_at", "known_from")


class PredictionQueries(KnownNames):
    """Predictions of models."""

    @one_state
    def predictions(
        self,
        study: str | None = None,
        *,
        model: str | None = None,
        symbols: Symbols | None = None,
        start: Day | None = None,
        end: Day | None = None,
        public_by: Day | None = None,
        as_of: Day | None = None,
        on: On | None = None,
    ) -> pl.DataFrame:
        """Return the stored predictions, sorted by symbol, date and model; start and end are sessions, inclusive.

        Columns: symbol, date (the session whose close the features are of), prediction (of the study's label), study,
        model (its id), public_at (UTC: when the features were public and the model could have been trained) and
        known_from (UTC). `study` and `model` choose some of them. `symbols` are securities, as in `bars`.
        """
        wanted = Selection().between(to_date(start), to_date(end))
        for column, value in (("study", study), ("model", model)):
            if value is not None:
                wanted = wanted.filtered(pl.col(column) == to_text(value, column))
        moment = PointInTime.parse(as_of, public_by)
        if symbols is None:
            return self._known(PREDICTIONS, wanted, moment).select(_SHOWN).sort("symbol", "date", "model")
        names, securities = to_names(symbols), self._securities()
        requests = securities.requests(names, to_date(start), to_date(end), to_days(names, on))
        own = wanted.filtered(pl.col("symbol").is_in(securities.stored_symbols(requests)))
        stored = self._known(PREDICTIONS, own, moment).with_columns(pl.lit("").alias("source"))
        rows = securities.rows(stored, requests, "date", ("study", "model", "date"))
        return rows.select(_SHOWN).sort("symbol", "date", "model")
