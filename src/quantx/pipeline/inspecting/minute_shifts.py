"""Findings about series of minutes that are hours off: one for each series."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.minute_shift import HOURS_OFF, SHIFT_RULES
from quantx.core.quality.rule import FINDING_SEVERITY
from quantx.core.tables import BARS_1M
from quantx.state.findings.port import Findings, OpenFinding

_LISTED = 3  # shifts in a message


def note_shifts(
    findings: Findings, shifted: pl.DataFrame, checked: Mapping[str, tuple[date, date]], source: str | None
) -> tuple[int, int]:
    """Note the series (of `shifted_series`) that are hours off; return the numbers of new and resolved findings.

    A finding about the sessions of an earlier check stays, and covers both. It is resolved when all of its sessions
    were checked (`checked` has the days by symbol, of this `source`, None: all) and are right.
    """
    known = {(f.source, f.subject): f for f in findings.open(HOURS_OFF, source, BARS_1M.name, list(checked))}
    current = {(row["source"], row["symbol"]): row for row in shifted.iter_rows(named=True)}
    new = findings.note([shift_finding(_with_earlier(row, known.get(key), checked)) for key, row in current.items()])
    over = [old for key, old in known.items() if key not in current and _covers(checked[old.subject], old)]
    closed = [
        findings.close(old.id, "resolved", "quantx", "the volume lies in the session's hours now") for old in over
    ]
    return new, sum(closed)


def shift_finding(row: Mapping[str, Any]) -> Finding:
    """Return the finding about one row of `shifted_series`."""
    source, symbol = row["source"], row["symbol"]
    shifts = [_named(shift) for shift in row["shifts"][:_LISTED]]
    more = f" and {len(row['shifts']) - _LISTED} more shifts" if len(row["shifts"]) > _LISTED else ""
    outside = row["outside"] / row["rows"]
    lost = f", and {outside:.0%} of the minutes are in quarantine, as they are outside of the exchange's hours"
    return Finding(
        HOURS_OFF,
        FINDING_SEVERITY[SHIFT_RULES[0].severity],
        symbol,
        f"{source}'s minutes of {symbol} are {', '.join(shifts)}{more}: {row['cause']}; the session's volume lies in"
        f" these hours{lost if row['outside'] else ''}; compare with another vendor, and do not use them: after a"
        f" correction of the vendor's time zone `quantx reprocess --symbols {symbol} --source {source}` derives them"
        " again",
        source=source,
        dataset=BARS_1M.name,
        facts={
            "times": row["sessions"],
            "first": str(row["first"]),
            "last": str(row["last"]),
            "sessions": row["sessions"],
            "checked": row["checked"],
            "share_outside": outside,
            "shifts": [{**s, "first": str(s["first"]), "last": str(s["last"])} for s in row["shifts"]],
        },
    )


def _named(shift: Mapping[str, Any]) -> str:
    hours = abs(shift["hours"])
    late = "late" if shift["hours"] > 0 else "early"
    return f"{hours} {'hour' if hours == 1 else 'hours'} {late} from {shift['first']} to {shift['last']}"


def _covers(days: tuple[date, date], old: OpenFinding) -> bool:
    return days[0] <= date.fromisoformat(old.facts["first"]) and date.fromisoformat(old.facts["last"]) <= days[1]


def _with_earlier(
    row: Mapping[str, Any], old: OpenFinding | None, checked: Mapping[str, tuple[date, date]]
) -> Mapping[str, Any]:
    """Return the row with the sessions of an earlier finding that this check does not cover."""
    if old is None or _covers(checked[old.subject], old):
        return row
    shifts = {s["hours"]: dict(s) for s in row["shifts"]}
    for before in old.facts["shifts"]:
        days = date.fromisoformat(before["first"]), date.fromisoformat(before["last"])
        mine = shifts.setdefault(before["hours"], {**before, "first": days[0], "last": days[1]})
        mine["first"], mine["last"] = min(mine["first"], days[0]), max(mine["last"], days[1])
        mine["sessions"] = max(mine["sessions"], before["sessions"])
    merged = sorted(shifts.values(), key=lambda s: s["first"])
    first, last = min(s["first"] for s in merged), max(s["last"] for s in merged)
    sessions = max(row["sessions"], old.facts["sessions"])
    return {**row, "shifts": merged, "first": first, "last": last, "sessions": sessions}
