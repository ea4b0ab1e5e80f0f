"""Store a member: stage it, commit it under the role `options`, and note what is doubtful."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from quantx.core.quality.option_rules import OPTION_RULES
from quantx.core.tables import BARS_1D
from quantx.errors import LakeError
from quantx.lake.protocol import Tables
from quantx.pipeline.options.commit import commit_member
from quantx.pipeline.options.judge import PricesOf
from quantx.pipeline.options.stage import stage_member
from quantx.pipeline.options.staged import CommittedMember, StagedMember
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role
from quantx.providers.options.protocol import OptionMember

_WAIT = 0.2  # seconds between two tries to take the role
_LONGEST_WAIT = 900.0  # a merge of a large session takes some seconds


def store_member(
    platform: Platform,
    member: OptionMember,
    folder: Path,
    *,
    raw: str,
    corrects: Sequence[str] = (),
    confirm: Callable[[], None] = lambda: None,
) -> CommittedMember:
    """Store the rows of a member in the tables of options; return what changed. See `stage_member`, `commit_member`.

    `confirm` is called before the commit, and raises where another process has taken the member over.
    """
    staged = stage_member(member, folder, location=platform.location, raw=raw, prices=stored_prices(platform.tables))

    def work(holder: RoleHolder | None) -> CommittedMember | None:
        if holder is None:
            return None
        confirm()
        return commit_member(platform.location, staged, holder, folder, corrects=corrects)

    until = platform.runtime.monotonic() + _LONGEST_WAIT
    while True:
        done = committing(lambda: take_role(platform.location, platform.tables, platform.state, "options"), work)
        if done is not None:
            _note_findings(platform, staged, is_correction=bool(corrects))
            return done
        if platform.runtime.monotonic() > until:
            raise LakeError("another process commits options all the time; import the member again when it has ended")
        platform.runtime.wait(_WAIT)


def stored_prices(tables: Tables) -> PricesOf:
    """Return the lowest and highest stored daily prices of an underlying, of any vendor; also as an index (^SPX)."""

    def prices(underlying: str, day: date) -> tuple[float, float] | None:
        bars = tables[BARS_1D.name].read(
            (pl.col("year") == day.year)
            & (pl.col("date") == day)
            & pl.col("symbol").is_in([underlying, f"^{underlying}"])
        )
        low, high = bars["low"].min(), bars["high"].max()
        return (low, high) if isinstance(low, float) and isinstance(high, float) else None

    return prices


def _note_findings(platform: Platform, staged: StagedMember, *, is_correction: bool) -> None:
    """Record the findings about a member; a correction resolves those that it no longer has."""
    if not is_correction:
        platform.state.findings.note(list(staged.findings))
        return
    underlyings = staged.contracts["underlying"].unique().to_list()
    platform.state.findings.restate(
        [rule.id for rule in OPTION_RULES if rule.severity != "reject"],
        staged.source,
        staged.table.name,
        list(staged.findings),
        "a correction of the vendor no longer has it",
        underlyings,
        dict.fromkeys(underlyings, (staged.first, staged.last)),
    )
