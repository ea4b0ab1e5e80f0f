"""The addresses of the data API: one declaration, from which routes, bounds, tags and the OpenAPI document follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quantx.core.fact_tables import FILER_SYMBOLS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.rate_tables import FX_RATES, RATES
from quantx.core.table import Table
from quantx.core.tables import (
    ACTIONS,
    BARS_1D,
    BARS_1M,
    FINDINGS,
    INSTRUMENTS,
    SESSIONS,
    SYMBOL_HISTORY,
    TABLES,
    UNIVERSE_MEMBERS,
    VERDICTS,
)
from quantx.dashboard.api.parameters import QueryParameters
from quantx.reader.arguments import BAR_COLUMNS
from quantx.reader.lake import Lake

PREFIX = "/api/v1"
_OF_BARS = (BARS_1D, BARS_1M, ACTIONS, SYMBOL_HISTORY, VERDICTS, FX_RATES, SESSIONS)


@dataclass(frozen=True)
class Resource:
    """One address: the query of a lake that answers it, with the method's parameters."""

    name: str
    query: Callable[..., pl.DataFrame]
    tables: Sequence[Table] | None  # on which the answer depends; None: on all
    by_session: bool = False  # a row, or a value, per symbol and session
    by_now: Callable[[Mapping[str, Any]], bool] = lambda _: False  # the arguments' answer depends on the time

    @property
    def path(self) -> str:
        """Return the address without a host."""
        return f"{PREFIX}/{self.name}"

    @property
    def summary(self) -> str:
        """Return what the query returns, in one line."""
        return (self.query.__doc__ or "").split("\n", maxsplit=1)[0]

    @property
    def description(self) -> str:
        """Return the columns of the answer and its errors, as the method states them."""
        lines = (self.query.__doc__ or "").split("\n")[1:]
        return "\n".join(line.removeprefix("        ") for line in lines).strip()

    @cached_property
    def parameters(self) -> QueryParameters:
        """Return the parameters of the query."""
        return QueryParameters(self.query)

    @cached_property
    def table_names(self) -> list[str]:
        """Return the tables on which the answer depends, those of revisions, too."""
        if self.tables is None:
            return list(TABLES)
        names = [name for table in self.tables for name in (table.name, table.revisions.name)]
        return [name for name in names if name in TABLES]


def _without(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda arguments: name not in arguments


def _has_concepts(arguments: Mapping[str, Any]) -> bool:
    """Return whether a panel has a field that is not of bars: its rows may reach to the last close by now."""
    return not set(arguments.get("field") or ()) <= set(BAR_COLUMNS)


RESOURCES: Mapping[str, Resource] = {
    each.name: each
    for each in (
        Resource("bars", Lake.bars, _OF_BARS, by_session=True),
        Resource("panel", Lake.panel, None, by_session=True, by_now=_has_concepts),
        Resource(
            "fundamentals",
            Lake.fundamentals,
            (FUNDAMENTALS, FUNDAMENTALS_FACTS, FILER_SYMBOLS, *_OF_BARS),
        ),
        Resource("actions", Lake.actions, _OF_BARS),
        Resource("universe", Lake.universe, (UNIVERSE_MEMBERS,)),
        Resource("features", Lake.features, None, by_session=True),
        Resource(
            "coverage", Lake.coverage, (BARS_1D, UNIVERSE_MEMBERS, SYMBOL_HISTORY, SESSIONS), by_now=_without("until")
        ),
        Resource("universes", Lake.universes, (UNIVERSE_MEMBERS,)),
        Resource("membership", Lake.membership, (UNIVERSE_MEMBERS, SYMBOL_HISTORY, SESSIONS), by_now=_without("end")),
        Resource("instruments", Lake.instruments, (INSTRUMENTS, SYMBOL_HISTORY)),
        Resource("findings", Lake.findings, (FINDINGS, SESSIONS)),
        Resource("revisions", Lake.revisions, (BARS_1D, BARS_1M, SYMBOL_HISTORY)),
        Resource("rates", Lake.rates, (RATES, SESSIONS)),
    )
}
