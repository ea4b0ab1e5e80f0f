"""The rows of a study's features."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from quantx.reader.lake import Lake
    from quantx.research.study import Study
    from quantx.research.study_features import StudyFeatures


def who_of(study: Study) -> dict[str, Any]:
    """Return the arguments of queries for the securities of a study."""
    return {"symbols": list(study.symbols)} if study.universe is None else {"universe": study.universe}


def feature_rows(lake: Lake, study: Study, chosen: StudyFeatures, first: date, last: date) -> pl.DataFrame:
    """Return symbol, date, a column per feature, public_at (UTC) and known_from, of sessions from `first` to `last`."""
    return lake.features(list(chosen.names), **who_of(study), start=first, end=last, as_of=study.as_of)


def computed_features(lake: Lake, study: Study, chosen: StudyFeatures, day: date, *, cut: bool) -> pl.DataFrame:
    """Return the computed rows of a session; `cut`: from what was public at its end, as if there were nothing later."""
    public_by = day if cut else None
    return lake.features(
        list(chosen.names), **who_of(study), start=day, end=day, public_by=public_by, as_of=study.as_of, stored=False
    )
