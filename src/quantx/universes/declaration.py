"""What `config/universes.yaml` declares: phases, and in each phase universes with the source of their members."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from quantx.errors import ConfigError

SourceType = Literal["static", "csv", "json", "excel", "wikipedia", "nasdaq_trader", "hkex", "ishares", "sec_tickers"]
_READS_A_TABLE = ("csv", "json", "excel")


class UniverseSpec(BaseModel):
    """One universe as declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")  # it is part of paths
    market: Literal["us", "hk", "jp", "eu"]
    type: SourceType
    enabled: bool = True  # False: not refreshed with its phase, and not part of daily updates
    description: str = ""
    symbols: tuple[str, ...] = ()  # static: the members
    # Where the document lies: a file, relative to the YAML file, or an address. Most types know an address.
    path: Path | None = None
    url: str | None = None
    # csv, json, excel: how the table is read
    symbol_column: str = "symbol"
    name_column: str | None = None
    from_column: str | None = None
    to_column: str | None = None
    separator: str = Field(",", min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    sheet: str | int = 0
    symbol_pattern: str | None = None  # the part of the cell that is the symbol: a regular expression
    symbol_suffix: str = ""  # what makes a symbol of an exchange's code, as .T in Tokyo
    only: dict[str, tuple[str, ...]] = {}  # column: the values of the rows that are wanted
    etfs: bool = True  # nasdaq_trader: funds are members, too
    # What a list must look like to be believed
    at_least: int = Field(1, ge=1)
    at_most: int | None = None
    most_left: float = Field(0.3, gt=0, le=1)  # the part of the members that may leave at once
    most_joined: float = Field(1.0, gt=0)  # as many as this part of the members may join at once

    @model_validator(mode="after")
    def _source_is_complete(self) -> Self:
        if self.type == "static" and not self.symbols:
            raise ValueError("a static universe needs `symbols`")
        if self.type in _READS_A_TABLE and self.path is None and self.url is None:
            raise ValueError(f"a {self.type} universe needs `path` or `url`")
        if self.path is not None and self.url is not None:
            raise ValueError("a universe has a `path` or a `url`, not both")
        if self.url is not None and not self.url.startswith(("https://", "http://")):
            raise ValueError("`url` must start with https:// or http://")
        if self.symbol_pattern is not None:
            try:
                re.compile(self.symbol_pattern)
            except re.error as error:
                raise ValueError(f"`symbol_pattern` is no regular expression: {error}") from error
        return self


@dataclass(frozen=True)
class Declared:
    """All universes, by phase."""

    path: Path
    phases: dict[str, tuple[UniverseSpec, ...]]

    def select(self, phase: str | None, name: str | None) -> list[tuple[str, UniverseSpec]]:
        """Return (phase, universe) pairs for a phase, a name or both; ConfigError where there is none.

        A universe that is not enabled is selected by its name alone.
        """
        if phase is not None and phase not in self.phases:
            raise ConfigError(f"{self.path} has no phase {phase!r}; it has {', '.join(self.phases) or 'none'}")
        found = [
            (p, spec)
            for p, specs in self.phases.items()
            for spec in specs
            if phase in (None, p) and name in (None, spec.name)
        ]
        if not found:
            names = ", ".join(spec.name for specs in self.phases.values() for spec in specs)
            raise ConfigError(f"{self.path} has no universe {name!r}{f' in {phase}' if phase else ''}; it has {names}")
        chosen = [(p, spec) for p, spec in found if spec.enabled or name is not None]
        if not chosen:
            names = ", ".join(spec.name for _, spec in found)
            raise ConfigError(f"no universe of {phase or self.path} is enabled; `--name` refreshes one of {names}")
        return chosen

    def enabled(self) -> frozenset[str]:
        """Return the names of the universes that take part in daily updates."""
        return frozenset(spec.name for specs in self.phases.values() for spec in specs if spec.enabled)


def enabled_universes(path: Path) -> frozenset[str] | None:
    """Return the names of the universes that take part in daily updates; None where there is no declaration here."""
    return read_declared(path).enabled() if path.is_file() else None


def read_declared(path: Path) -> Declared:
    """Read the declaration; ConfigError names the file and what is wrong in it."""
    try:
        document: Any = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no universe file {path}; `quantx init` writes one, QUANTX_UNIVERSE_PATH names another"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from error
    try:
        phases = {
            str(phase): tuple(UniverseSpec.model_validate({"name": name, **spec}) for name, spec in specs.items())
            for phase, specs in document["phases"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} must have the form `phases: {{phase_1: {{name: {{…}}}}}}`") from error
    except ValidationError as error:
        first = error.errors()[0]
        wrong = first["input"].get("name") if isinstance(first["input"], dict) else repr(first["input"])
        raise ConfigError(f"{path}: {' '.join(map(str, (*first['loc'], wrong)))}: {first['msg']}") from error
    names = [spec.name for specs in phases.values() for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{path} declares the universe {twice[0]} in two phases; give one of them another name")
    return Declared(path, phases)
