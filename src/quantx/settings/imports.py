"""The declared forms of files by source: `config/imports.yaml`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quantx.core.foreign_errors import value_fact
from quantx.errors import ConfigError
from quantx.settings.yaml_document import read_yaml

OWN_IMPORTS = Path("config/imports.yaml")


class ImportDeclaration(BaseModel):
    """The form of one source's files; what is not declared follows from the files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[str, str] | list[str | None] = Field(
        default_factory=dict,
        description="the header's name of each field, as in {date: Day, close: Last}; or, for files without a header,"
        " the fields in their order, as in [date, open, high, low, close, volume]",
    )
    separator: str | None = Field(default=None, description="the separator of cells, where it is not the usual one")
    decimal: str | None = Field(default=None, description=". or , before decimals")
    date_format: str | None = Field(
        default=None, description="as in %d/%m/%Y; iso, or epoch_s, epoch_ms, epoch_us, epoch_ns"
    )
    zone: str | None = Field(
        default=None, description="of times without an offset: exchange, UTC, or as in Europe/London"
    )
    stamps: str | None = Field(default=None, description="start or end: what the stamp of a minute is")
    timeframe: str | None = Field(default=None, description="1d or 1m")
    basis: str | None = Field(default=None, description="as_traded, split_adjusted (with splits) or total_adjusted")
    splits: str | None = Field(default=None, description="a CSV of splits, a source whose splits the lake has, or none")
    currency: str | None = Field(default=None, description="of the prices, as in USD; GBX for pence")
    price_factor: float | None = Field(default=None, description="by which prices are multiplied, as in 0.01")
    volume_factor: float | None = Field(default=None, description="by which volumes are multiplied, as in 1000")
    suffix: str = Field(default="", description="added to symbols that have none, as in .HK")
    symbols: dict[str, str] = Field(default_factory=dict, description="the symbol of a spelling, as in {GOOG1: GOOGL}")
    symbol_pattern: str | None = Field(
        default=None,
        description="a regular expression of paths with a group `symbol`, where files are not named after it",
    )


class _Declarations(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: dict[str, ImportDeclaration]


def declared_imports(path: Path) -> dict[str, ImportDeclaration]:
    """Return the declarations by source; none where the default file is missing.

    Raises ConfigError with the file, the line and the problem.
    """
    if path == OWN_IMPORTS and not path.exists():
        return {}
    document = read_yaml(path)
    try:
        return _Declarations.model_validate(document.values or {"sources": {}}).sources
    except ValidationError as error:
        first = error.errors()[0]
        place = [part for part in first["loc"] if part not in ("dict[str,str]", "list[nullable[str]]")]
        named = ".".join(map(str, place))
        raise ConfigError(f"{document.at(place)}: {named or 'the file'} {value_fact(first)}") from error
