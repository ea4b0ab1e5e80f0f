"""Models of studies: regressors that give the same predictions for the same data, on any number of threads."""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from quantx.errors import ConfigError
from quantx.extras import extra
from quantx.research.preprocessing import FittedPreprocessing, fit_preprocessing
from quantx.research.study import Estimator, Ridge, Study

if TYPE_CHECKING:
    from quantx.research.preprocessing import Matrix

ALLOWED = ("lightgbm", "sklearn")  # packages whose code a study may name
_ROWS_A_THREAD = 50_000
# LightGBM gives the same trees for the same data only with these; a study can't change them.
_DETERMINISTIC = {"deterministic": True, "force_col_wise": True, "verbosity": -1}


@dataclass(frozen=True)
class FittedModel:
    """A trained regressor with the preparation of its features."""

    preprocessing: FittedPreprocessing
    regressor: Any

    def predict(self, features: Matrix) -> Matrix:
        """Return a prediction per row of features (rows × features, NaN is a null)."""
        return np.asarray(self.regressor.predict(self.preprocessing.apply(features)), dtype=np.float64).ravel()


def fit_model(study: Study, features: Matrix, labels: Matrix, packages: Collection[str] = ALLOWED) -> FittedModel:
    """Train the model of a study on rows; ConfigError where the model refuses the rows or its parameters."""
    regressor = regressor_of(study, packages, len(labels))
    preprocessing = fit_preprocessing(study.preprocessing, features)
    try:
        regressor.fit(preprocessing.apply(features), labels)
    except _library_errors(regressor) as error:
        raise ConfigError(_refusal(study, features, error)) from error
    return FittedModel(preprocessing, regressor)


def regressor_of(study: Study, packages: Collection[str] = ALLOWED, rows: int = 0) -> Any:
    """Return the untrained regressor of a study; ConfigError where it is not allowed, or there is none."""
    model = study.model
    if isinstance(model, Estimator):
        made = _estimator(model, packages)
    elif isinstance(model, Ridge):
        with extra("ml", "a study"):
            from sklearn.linear_model import Ridge as Regressor
        made = Regressor
    else:
        with extra("ml", "a study"):
            from lightgbm import LGBMRegressor
        made = LGBMRegressor
    fixed: dict[str, Any] = _DETERMINISTIC if made.__module__.startswith("lightgbm") else {}
    if changed := sorted(fixed.keys() & model.parameters.keys()):
        raise ConfigError(f"model.parameters: {changed[0]} is set by this program: the same data must give one model")
    known = inspect.signature(made).parameters
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values())
    strange = sorted(set(model.parameters) - set(known))
    if strange and not takes_any:
        raise ConfigError(f"model.parameters: {made.__name__} has no parameter {strange[0]}; it has {', '.join(known)}")
    _check_lightgbm(made, model.parameters)
    if "random_state" in model.parameters and model.parameters["random_state"] is None:
        raise ConfigError("model.parameters: random_state can't be null: the same data must give one model")
    seeded = {"random_state": study.seed} if "random_state" in known else {}
    fixed |= {"n_jobs": _threads(rows)} if fixed else {}
    regressor = _made(made, {**seeded, **fixed, **model.parameters})
    if not _is_regressor(regressor):
        raise ConfigError(
            f"model.name: {made.__name__} is no regressor; a label is a number, so choose one, as"
            " sklearn.ensemble.ExtraTreesRegressor"
        )
    return regressor


def _made(kind: Any, parameters: dict[str, Any]) -> Any:
    """Return an object of a class; ConfigError where it needs parameters that a study can't give."""
    if inspect.isabstract(kind):
        raise ConfigError(f"model.name: {kind.__name__} is the base of other models; use the full name of a regressor")
    needed = [
        name
        for name, each in inspect.signature(kind).parameters.items()
        if each.default is each.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    ]
    if absent := [name for name in needed if name not in parameters]:
        raise ConfigError(
            f"model.name: {kind.__name__} needs {absent[0]}, and a study has no models inside of others; use a"
            " regressor, features are prepared by `preprocessing`"
        )
    return kind(**parameters)


def _is_regressor(model: Any) -> bool:
    with extra("ml", "a study"):
        from sklearn.base import is_regressor
    return bool(is_regressor(model))


def _check_lightgbm(kind: Any, parameters: Collection[str]) -> None:
    """Raise ConfigError for a parameter that LightGBM does not know: it would silently ignore it."""
    if not kind.__module__.startswith("lightgbm"):
        return
    from lightgbm.basic import _ConfigAliases

    aliases = _ConfigAliases._get_all_param_aliases()  # noqa: SLF001 – no public list of all names
    known = {*inspect.signature(kind).parameters, *aliases, *(name for names in aliases.values() for name in names)}
    if strange := sorted(set(parameters) - known):
        near = get_close_matches(strange[0], sorted(known), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"model.parameters: {kind.__name__} has no parameter {strange[0]}{hint}")


def _threads(rows: int) -> int:
    """Return a number of threads that some rows are worth: on few rows threads wait for each other."""
    return max(1, min(os.cpu_count() or 1, rows // _ROWS_A_THREAD))


def _estimator(model: Estimator, packages: Collection[str]) -> Any:
    """Return the class of a dotted name, of an allowed package; its module is imported, which runs its code."""
    package = model.name.partition(".")[0]
    if package not in packages:
        raise ConfigError(
            f"model.name: the package {package} is not allowed to run; allowed are {', '.join(sorted(packages))}, and"
            " the setting estimator_packages adds others"
        )
    module, _, name = model.name.rpartition(".")
    with extra("ml", "a study"):
        import sklearn.base
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        raise ConfigError(f"model.name: there is no {model.name}; use the full name of a regressor") from None
    if not (isinstance(found, type) and issubclass(found, sklearn.base.BaseEstimator) and hasattr(found, "predict")):
        raise ConfigError(f"model.name: {model.name} is no estimator of scikit-learn with a prediction")
    return found


def _library_errors(regressor: Any) -> tuple[type[Exception], ...]:
    """Return the errors by which a regressor refuses rows and parameters."""
    if not type(regressor).__module__.startswith("lightgbm"):
        return ValueError, TypeError
    from lightgbm.basic import LightGBMError

    return ValueError, TypeError, LightGBMError


def _refusal(study: Study, features: Matrix, error: Exception) -> str:
    if study.preprocessing.fill == "none" and np.isnan(features).any():
        return "the model takes no nulls; set preprocessing.fill to median or zero"
    return f"the model refuses these rows or its parameters ({type(error).__name__}); check model.parameters"
