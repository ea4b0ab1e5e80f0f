"""What `config/universes.yaml` declares: phases, and in each phase universes with the source of their members."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from quantx.errors import ConfigError

SourceType = Literal["static", "csv"]


class UniverseSpec(BaseModel):
    """One universe as declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    market: Literal["us", "hk", "jp", "eu"]
    type: SourceType
    description: str = ""
    symbols: tuple[str, ...] = ()  # static: the members
    path: Path | None = None  # csv: the file, relative to the YAML file
    symbol_column: str = "symbol"
    name_column: str | None = None
    from_column: str | None = None
    to_column: str | None = None

    @model_validator(mode="after")
    def _source_is_complete(self) -> Self:
        if self.type == "static" and not self.symbols:
            raise ValueError("a static universe needs `symbols`")
        if self.type == "csv" and self.path is None:
            raise ValueError("a csv universe needs `path`")
        return self


@dataclass(frozen=True)
class Declared:
    """All universes, by phase."""

    path: Path
    phases: dict[str, tuple[UniverseSpec, ...]]

    def select(self, phase: str | None, name: str | None) -> list[tuple[str, UniverseSpec]]:
        """Return (phase, universe) pairs for a phase, a name or both; ConfigError where there is none."""
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
        return found


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
