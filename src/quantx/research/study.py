"""The study: one YAML file that describes a model from its universe to its costs, and the errors of a wrong one."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from math import comb
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from quantx.core.foreign_errors import value_fact
from quantx.errors import ConfigError
from quantx.research.study_features import study_features
from quantx.settings.yaml_document import YamlDocument, read_yaml

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"  # part of paths
OF_DATASET = ("name", "universe", "symbols", "start", "end", "every", "features", "label", "as_of")
_MOST_FOLDS = 500  # of combinatorial splits: each trains a model
_RESERVED = ("mlruns",)  # the record of all studies lies beside their folders
_TAGGED = ("splits", "model")  # fields whose form depends on one of their values


class _Part(BaseModel):
    """A part of a study: it can't be changed, and has no other fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(_Part):
    """What the model learns: a return after the session, from closes that are adjusted for splits and dividends.

    The position is entered at the close `entry_lag` sessions after the one whose features are known, and left at the
    close `horizon` sessions later. A halted security keeps its last price.
    """

    name: Literal["forward_return", "forward_excess"] = "forward_return"
    horizon: int = Field(ge=1, le=504)
    entry_lag: int = Field(1, ge=1, le=20)  # the close of a session is known only after it: 0 would look ahead


class WalkForward(_Part):
    """Train on the past, test on the dates that follow, and move on. Sizes are dates of the table."""

    method: Literal["walk_forward"] = "walk_forward"
    train: int = Field(ge=2)
    test: int = Field(ge=1)
    expanding: bool = True  # False: the training dates move on, too
    embargo: int = Field(0, ge=0)


class CombinatorialPurged(_Part):
    """Combinatorial purged cross-validation: each choice of `test_groups` of `groups` parts is tested once.

    Source: M. López de Prado, Advances in Financial Machine Learning, chapters 7 and 12.
    """

    method: Literal["combinatorial_purged"]
    groups: int = Field(6, ge=3, le=20)
    test_groups: int = Field(2, ge=1)
    embargo: int = Field(0, ge=0)  # dates of the table after each test range

    @model_validator(mode="after")
    def _groups_for_training(self) -> Self:
        if self.test_groups >= self.groups:
            raise ValueError(f"test_groups must be less than groups ({self.groups})")
        folds = comb(self.groups, self.test_groups)
        if folds > _MOST_FOLDS:
            raise ValueError(
                f"{self.test_groups} of {self.groups} groups make {folds:,} folds, each with a model; choose fewer"
                f" groups: at most {_MOST_FOLDS} folds"
            )
        return self


class Preprocessing(_Part):
    """What is done to the features of each fold, with figures of its training rows alone, in this order."""

    winsorize: float = Field(default=0.01, ge=0, lt=0.5)  # share of each tail that is cut off at its quantile; 0: none
    standardize: bool = True  # subtract the mean, divide by the standard deviation
    fill: Literal["median", "zero", "none"] = "median"  # in place of nulls; none: for models that know nulls


class LightGbm(_Part):
    """Gradient-boosted trees of LightGBM: LGBMRegressor."""

    kind: Literal["lightgbm"]
    parameters: dict[str, bool | int | float | str | None] = {}


class Ridge(_Part):
    """Linear regression with a quadratic penalty: sklearn.linear_model.Ridge."""

    kind: Literal["ridge"]
    parameters: dict[str, bool | int | float | str | None] = {}


class Estimator(_Part):
    """A regressor by its dotted name, of a package that the setting `estimator_packages` allows: it runs its code."""

    kind: Literal["estimator"]
    name: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
    parameters: dict[str, bool | int | float | str | None] = {}


class Costs(_Part):
    """What trading costs."""

    bps: float = Field(default=0.0, ge=0, le=1000)  # per side: of the amount that is bought or sold


class Study(_Part):
    """One study; read it with `read_study`."""

    name: str = Field(pattern=NAME)
    universe: str | None = None  # its members through time
    symbols: tuple[str, ...] = ()
    start: date
    end: date  # nothing after it is read: labels that would end later are null
    every: int = Field(1, ge=1, le=252)  # sessions between two dates of the table
    features: tuple[str, ...] = Field(min_length=1)  # names of sets, or of features as in technical.rsi_14
    label: Label
    splits: Annotated[WalkForward | CombinatorialPurged, Field(discriminator="method")]
    preprocessing: Preprocessing = Preprocessing()
    model: Annotated[LightGbm | Ridge | Estimator, Field(discriminator="kind")]
    costs: Costs = Costs()
    quantiles: int = Field(5, ge=2, le=20)
    seed: int = Field(7, ge=0)
    as_of: str | None = None  # read the lake as it was known then; None: as it is now
    tracking: bool = True  # record runs with MLflow

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if (self.universe is None) == (not self.symbols):
            raise ValueError("a study needs either `universe` or `symbols`")
        if self.start >= self.end:
            raise ValueError(f"the start {self.start} must lie before the end {self.end}")
        return self

    @field_validator("name")
    @classmethod
    def _own_folder(cls, value: str) -> str:
        if value.lower() in _RESERVED:
            raise ValueError(f"{value} is the folder of the record of runs; choose another name")
        return value

    @field_validator("features")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is there twice")
        return value

    @field_validator("as_of", mode="before")
    @classmethod
    def _instant_as_text(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value

    @property
    def dataset_part(self) -> dict[str, Any]:
        """Return the fields that make the dataset, as plain values."""
        return self.model_dump(mode="json", include=set(OF_DATASET))

    def part_hash(self, *parts: str) -> str:
        """Return the SHA-256 of some fields, or of all, as 16 hexadecimal digits."""
        document = self.model_dump(mode="json", include=set(parts) if parts else None)
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def read_study(path: Path) -> Study:
    """Read a study; ConfigError with the file, the line and the problem where it is wrong."""
    document = read_yaml(path)
    if not isinstance(document.values, dict):
        raise ConfigError(f"{path} must hold the fields of a study, as in `name: momentum`")
    try:
        study = Study.model_validate(document.values)
    except ValidationError as error:
        # A misspelt field is missing, too: its name is the problem.
        errors = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        raise ConfigError(_problem(document, errors[0])) from error
    for number, name in enumerate(study.features):
        try:
            study_features([name])
        except ConfigError as error:
            fact = str(error).removeprefix("features: ")
            raise ConfigError(f"{document.at(('features', number))}: features: {fact}") from error
    return study


def _problem(document: YamlDocument, first: ErrorDetails) -> str:
    """Return the line, the field and the problem of a wrong study."""
    loc = first["loc"]
    if len(loc) > 1 and loc[0] in _TAGGED:  # pydantic adds the form to the place
        loc = (loc[0], *loc[2:])
    if loc[:2] == ("model", "parameters") and len(loc) > 2:  # it adds each of the allowed types, too
        where = document.at(loc[:3])
        return f"{where}: model.parameters.{loc[2]}: must be a number, a text, true, false or null"
    where, field = document.at(loc), ".".join(map(str, loc))
    if first["type"] == "extra_forbidden":
        return f"{where}: {field} is no field of a study{_fields_at(loc)}"
    if first["type"] == "missing":
        return f"{where}: the field {field} is missing"
    if first["type"] == "union_tag_invalid":
        context = first["ctx"]
        key = str(context["discriminator"]).strip("'")
        return f"{where}: {field}.{key}: {context['tag']!r} must be {context['expected_tags']}"
    if first["type"] == "union_tag_not_found":
        return f"{where}: {field} needs the field {first['ctx']['discriminator']}".replace("'", "")
    return f"{where}: {field or 'the study'}: {value_fact(first)}".replace("'", "")


def _fields_at(loc: tuple[int | str, ...]) -> str:
    """Return a part of a message with the fields of a study, where the unknown one is at its top."""
    return f"; the fields are {', '.join(Study.model_fields)}" if len(loc) == 1 else ""
