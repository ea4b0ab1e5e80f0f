"""The earlier form of the universes file: lists of universes below `universes`, without markets.

universes:
  phase_1:
    - {name: us_sp500, source_type: wikipedia, url: https://…, symbol_column: Symbol}
    - {name: hk_blue, source_type: static, symbols: ["0700.HK"], enabled: true}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from quantx.core.symbols import US, VENUES_BY_SUFFIX
from quantx.errors import ConfigError
from quantx.settings.yaml_document import Place, YamlDocument

FORM = "universes: {phase_1: [{name: us_large, source_type: static, symbols: [AAPL]}]}"
_MARKETS = sorted({US.market, *(venue.market for venue in VENUES_BY_SUFFIX.values())})


class Declared(NamedTuple):
    """One universe as a file declares it."""

    phase: str
    name: Any
    place: Place  # in the file
    values: Mapping[str, Any]  # the fields of UniverseSpec without the name


def declared_universes(document: YamlDocument) -> Iterator[tuple[str, list[Declared]]]:
    """Yield each phase with its universes; ConfigError with file and line where the form is another."""
    phases = document.values["universes"]
    if not isinstance(phases, Mapping):
        raise _wrong_form(document, ("universes",))
    for phase, universes in phases.items():
        if not isinstance(universes, list):
            raise _wrong_form(document, ("universes", str(phase)))
        yield str(phase), [_declared(document, str(phase), number, each) for number, each in enumerate(universes)]


def _wrong_form(document: YamlDocument, place: Place) -> ConfigError:
    return ConfigError(f"{document.at(place)}: below `universes` the file must have the form `{FORM}`")


def _declared(document: YamlDocument, phase: str, number: int, given: Any) -> Declared:
    place = ("universes", phase, number)
    if not isinstance(given, Mapping):
        raise _wrong_form(document, place)
    if "type" in given:
        raise ConfigError(
            f"{document.at((*place, 'type'))}: `type` belongs to the form with `phases`; below `universes` it is"
            " `source_type`"
        )
    for needed in ("name", "source_type"):
        if given.get(needed) is None:
            raise ConfigError(f"{document.at(place)}: the universe {number + 1} of {phase} needs `{needed}`")
    named = {str(key): value for key, value in given.items() if key not in ("name", "source_type")}
    values = {key: value for key, value in named.items() if value is not None and value != ""}  # empty: not given
    values.setdefault("market", _market(str(given["name"]), values))
    if "path" in values:
        values["path"] = _path(document.path.parent, str(values["path"]))
    return Declared(phase, given["name"], place, {"type": given["source_type"], **values})


def _market(name: str, values: Mapping[str, Any]) -> str:
    """Return the market: of the suffix, of all symbols together, or of a part of the name; us by default.

    >>> _market("hsi", {"symbol_suffix": ".HK"}), _market("nikkei", {"symbols": ["7203.T"]}), _market("EU-600", {})
    ('hk', 'jp', 'eu')
    """
    symbols = values.get("symbols")
    ends = [values["symbol_suffix"]] if "symbol_suffix" in values else symbols if isinstance(symbols, list) else []
    venues = [VENUES_BY_SUFFIX.get(str(end).upper().rpartition(".")[2]) for end in ends]
    if venues:
        return venues[0].market if all(venues) and venues[0] else US.market
    parts = re.split(r"[^a-z]+", name.lower())
    return next((part for part in parts if part in _MARKETS), US.market)


def _path(folder: Path, path: str) -> Path:
    """Return a path relative to the file's folder, or to the working folder where only that file exists."""
    beside = folder / path
    return Path(path).absolute() if not beside.exists() and Path(path).exists() else Path(path)
