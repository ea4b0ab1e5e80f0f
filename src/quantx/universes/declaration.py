"""The declaration `config/universes.yaml`: phases, and the universes of each phase with their sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from quantx.core.foreign_errors import value_fact
from quantx.core.symbols import MarketName
from quantx.errors import ConfigError
from quantx.settings.yaml_document import YamlDocument, read_yaml
from quantx.universes.earlier_form import Declared, declared_universes

SourceType = Literal["static", "csv", "json", "excel", "wikipedia", "nasdaq_trader", "hkex", "ishares", "sec_tickers"]
_READS_A_TABLE = ("csv", "json", "excel")


class UniverseSpec(BaseModel):
    """The declaration of one universe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")  # part of paths
    market: MarketName
    type: SourceType
    enabled: bool = True  # False: not refreshed with its phase, not in daily updates
    description: str = ""
    symbols: tuple[str, ...] = ()  # static: the members
    # The location of the document: a file, relative to the YAML file, or an address. Most types have a default address.
    path: Path | None = None
    url: str | None = None
    # csv, json, excel: the layout of the table
    symbol_column: str = "symbol"
    name_column: str | None = None
    from_column: str | None = None
    to_column: str | None = None
    separator: str = Field(",", min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    sheet: str | int = 0
    symbol_pattern: str | None = None  # regular expression of the symbol within the cell
    symbol_pad: int | None = Field(None, ge=1, le=10)  # digits of a number that lost its zeros: 5 → 0005
    symbol_suffix: str = ""  # appended to an exchange's code, as .T in Tokyo
    suffix_column: str | None = None  # its value decides the suffix, as a country does
    suffixes: dict[str, str] = {}  # value of `suffix_column`: the suffix of the exchange; other rows are left out
    only: dict[str, tuple[str, ...]] = {}  # column: the values of the selected rows
    etfs: bool = True  # nasdaq_trader: include funds
    funds: bool = False  # all members are funds: recorded as their class
    # The plausibility checks of a list
    at_least: int = Field(1, ge=1)
    at_most: int | None = None
    most_left: float = Field(0.3, gt=0, le=1)  # the share of the members that may leave at once
    most_joined: float = Field(1.0, gt=0)  # the number that may join at once, as a share of the members

    @model_validator(mode="after")
    def _source_is_complete(self) -> Self:
        if self.type == "static" and not self.symbols:
            raise ValueError("a static universe needs `symbols`")
        if self.type in _READS_A_TABLE and self.path is None and self.url is None:
            raise ValueError(f"a {self.type} universe needs `path` or `url`")
        if (self.suffix_column is None) is not (not self.suffixes):
            raise ValueError("`suffix_column` and `suffixes` belong together; declare both, or neither")
        if self.path is not None and self.url is not None:
            raise ValueError("a universe has a `path` or a `url`, not both")
        if self.url is not None and not self.url.startswith(("https://", "http://")):
            raise ValueError("`url` must start with https:// or http://")
        if self.symbol_pattern is not None:
            try:
                re.compile(self.symbol_pattern)
            except re.error as error:
                raise ValueError(f"`symbol_pattern` is not a regular expression at character {error.pos}") from error
        return self


@dataclass(frozen=True)
class Declaration:
    """All universes, by phase."""

    path: Path
    phases: dict[str, tuple[UniverseSpec, ...]]

    def select(self, phase: str | None, name: str | None) -> list[tuple[str, UniverseSpec]]:
        """Return (phase, universe) pairs for a phase, a name or both; raise ConfigError if there are none.

        A disabled universe is selected only by its name.
        """
        if phase is not None and phase not in self.phases:
            raise ConfigError(f"{self.path} has no phase {phase!r}; it has {', '.join(self.phases) or 'none'}")
        matches = [
            (p, spec)
            for p, specs in self.phases.items()
            for spec in specs
            if phase in (None, p) and name in (None, spec.name)
        ]
        if not matches:
            names = ", ".join(spec.name for specs in self.phases.values() for spec in specs)
            raise ConfigError(f"{self.path} has no universe {name!r}{f' in {phase}' if phase else ''}; it has {names}")
        chosen = [(p, spec) for p, spec in matches if spec.enabled or name is not None]
        if not chosen:
            names = ", ".join(spec.name for _, spec in matches)
            raise ConfigError(f"no universe of {phase or self.path} is enabled; `--name` refreshes one of {names}")
        return chosen

    def enabled(self) -> frozenset[str]:
        """Return the names of the universes in daily updates."""
        return frozenset(spec.name for specs in self.phases.values() for spec in specs if spec.enabled)


def enabled_universes(path: Path) -> frozenset[str] | None:
    """Return the names of the universes in daily updates; None if there is no declaration."""
    return read_declaration(path).enabled() if path.is_file() else None


def read_declaration(path: Path) -> Declaration:
    """Read the declaration, in today's form or in the earlier one; raise ConfigError with the file and its problem."""
    if not path.exists():
        raise ConfigError(
            f"there is no universe file {path}; `quantx init` writes one, QUANTX_UNIVERSE_PATH sets another"
        )
    document = read_yaml(path)
    forms = [form for form in ("phases", "universes") if isinstance(document.values, dict) and form in document.values]
    if len(forms) == 2:
        raise ConfigError(
            f"{document.at(['universes'])}: the file has `phases` and `universes`, which are two forms of one thing;"
            " move all universes to one of them"
        )
    read = declared_universes if forms == ["universes"] else _by_name
    phases = {phase: tuple(_read_spec(document, each) for each in some) for phase, some in read(document)}
    names = [spec.name for specs in phases.values() for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{path} declares the universe {twice[0]} twice; give one of them another name")
    return Declaration(path, phases)


def _by_name(document: YamlDocument) -> Iterator[tuple[str, list[Declared]]]:
    """Yield each phase with its universes, which have their names as keys."""
    try:
        for phase, specs in document.values["phases"].items():
            place = ("phases", phase)
            yield str(phase), [Declared(str(phase), name, (*place, name), {**spec}) for name, spec in specs.items()]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{document.path} must have the form `phases: {{phase_1: {{name: {{…}}}}}}`") from error


def _read_spec(document: YamlDocument, declared: Declared) -> UniverseSpec:
    """Return one declared universe."""
    try:
        return UniverseSpec.model_validate({"name": declared.name, **declared.values})
    except ValidationError as error:
        raise ConfigError(_problem(document, declared, error.errors()[0])) from error


def _problem(document: YamlDocument, declared: Declared, first: ErrorDetails) -> str:
    """Return the file, the line and the problem of one declared universe."""
    read, loc = first["input"], first["loc"]
    kind_key = "source_type" if declared.place[0] == "universes" else "type"
    loc = (kind_key, *loc[1:]) if loc[:1] == ("type",) else loc
    where = document.at((*declared.place, *loc))
    if first["type"] == "extra_forbidden":
        fields = ", ".join(kind_key if name == "type" else name for name in UniverseSpec.model_fields if name != "name")
        return f"{where}: {loc[0]} is no field of a universe ({declared.name}); the fields are {fields}"
    if first["type"] == "string_type" and (read is None or isinstance(read, bool | int | float | date)):
        is_key = loc == ("name",) and kind_key == "type"
        written = str(read) if is_key else document.written((*declared.place, *loc))
        at = " ".join(f"position {part + 1}" if isinstance(part, int) else part for part in loc)
        kind = {bool: "a truth value", type(None): "an empty value", date: "a date"}.get(type(read), "a number")
        return f"{where}: the universe {declared.name}, {at}: YAML reads {written} as {kind}; quote it: '{written}'"
    wrong = read.get("name") if isinstance(read, dict) else repr(read)
    return f"{where}: {' '.join(map(str, (*loc, wrong)))}: {value_fact(first)}"
