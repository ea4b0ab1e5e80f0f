"""Turn an open member into rows of the tables of options: stage them as files, and commit them once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from quantx.core.option_tables import OPTION_TABLES
from quantx.lake.protocol import CommitContext
from quantx.pipeline.options.importing import Arrival, Store
from quantx.pipeline.runtime.platform import Platform
from quantx.providers.options.protocol import OptionMember
from quantx.state.option_members.port import MemberCounts

_KINDS = {each.name.removeprefix("options_"): each for each in OPTION_TABLES}


def store_of(platform: Platform) -> Store:
    """Return what stores members in the tables of a platform."""
    return partial(_store, platform)


def _store(
    platform: Platform, member: OptionMember, folder: Path, arrival: Arrival, confirm: Callable[[], None]
) -> MemberCounts:
    assert member.facts.kind is not None
    table = _KINDS[member.facts.kind]
    contracts = member.contracts.with_row_index("contract_index")
    frames = [
        batch.rows.join(contracts, on="contract_index").with_columns(
            date=pl.lit(batch.date),
            source=pl.lit(member.facts.source),
            month=pl.lit(batch.date.year * 100 + batch.date.month, pl.Int32),
            year=pl.lit(batch.date.year, pl.Int32),
            raw=pl.lit(arrival.raw),
            known_from=pl.lit(platform.clock.now()),
        )
        for batch in member.batches()
    ]
    confirm()
    if not frames:
        return MemberCounts()
    rows = pl.concat(frames)
    rows = rows.select([pl.col(name).cast(kind) for name, kind in table.schema.items()]).sort(table.sort)
    platform.tables[table.name].commit(CommitContext(), rows)
    return MemberCounts(rows.height)
