"""Findings about schema drift: fields that a vendor adds to its replies, drops or retypes, with the first such reply.

A finding is open until a newer reply of the series that showed it last does not show it any more. It depends on the
replies alone, not on how they were grouped: `quantx reprocess` makes the same ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from quantx.core.model import Finding, Series
from quantx.core.quality.operational_rules import DRIFT_RULES
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.providers.drift import FieldChange
from quantx.providers.protocol import Provider
from quantx.state.findings.port import Findings

_AGAIN = "the vendor's replies have the declared form again"
_RULES = {rule.id: rule for rule in DRIFT_RULES.values()}
_KINDS = {rule.id: kind for kind, rule in DRIFT_RULES.items()}
_Key = tuple[str, str, str, str]  # rule, field, source and dataset of a finding
_SeriesKey = tuple[str, str, str, str]
_Page = tuple[str, str]  # the SHA-256 of its body, and its request; not the page, whose bytes would stay in memory
_Sighting = dict[str, Any]  # a reply that shows a change, as it stands in the facts of a finding


class _Known(NamedTuple):
    """A finding in the state."""

    id: int
    facts: Mapping[str, Any]


class ReadFrames(Protocol):
    """The frames of a page that can be read."""

    @property
    def drift(self) -> tuple[FieldChange, ...]:
        """Return the fields that differ from the declared shape."""
        ...

    @property
    def has_rows(self) -> bool:
        """Return whether the page has rows."""
        ...


@dataclass(frozen=True, kw_only=True)
class ComparedReply:
    """A reply of a series, and the fields of its pages that differ from the declared shapes."""

    series: Series
    raw: str
    fetched_at: datetime
    changes: Sequence[tuple[FieldChange, _Page]]
    has_rows: bool  # without rows it does not prove that the form is the declared one


def compare_replies(
    landed: Sequence[ReadReply], frames: Mapping[int, ReadFrames | str], provider: Provider
) -> list[ComparedReply]:
    """Return the replies with their changes; `frames` are those of the pages that can be read, by the page's id."""
    drifts = dict[int, tuple[FieldChange, ...]]()
    replies = []
    for item in landed:
        has_rows = False
        for page in item.pages:
            read = frames.get(id(page))
            if read is not None and not isinstance(read, str):
                drifts[id(page)] = read.drift
                has_rows = has_rows or read.has_rows
            elif id(page) not in drifts:
                drifts[id(page)] = provider.drift(page)
        changes = [(change, (page.sha256, page.request)) for page in item.pages for change in drifts[id(page)]]
        replies.append(
            ComparedReply(
                series=item.stored.series,
                raw=item.raw,
                fetched_at=item.payload.fetched_at,
                changes=changes,
                has_rows=has_rows,
            )
        )
    return replies


def note_drift(findings: Findings, replies: Iterable[ComparedReply]) -> None:
    """Record the changes as findings, and resolve those that newer replies do not show any more."""
    sightings, newest = defaultdict[_Key, list[_Sighting]](list), dict[_SeriesKey, tuple[str, set[_Key]]]()
    for reply in replies:
        keys = set[_Key]()
        for change, page in reply.changes:
            key = (DRIFT_RULES[change.kind].id, change.path, reply.series.source, change.dataset)
            if key not in keys:
                sightings[key].append(_sighting(reply, change, page))
                keys.add(key)
        series, at = _series_key(reply.series), _stamp(reply.fetched_at)
        if reply.has_rows and newest.get(series, ("", keys))[0] <= at:
            newest[series] = (at, keys)
    known = _known(findings)
    noted = []
    for key in sorted(known.keys() | sightings.keys()):
        before = known.get(key)
        seen = sightings[key] + ([] if before is None else [before.facts["first"], before.facts["last"]])
        first, last = (pick(seen, key=lambda s: (s["fetched_at"], s["raw"], s["series"])) for pick in (min, max))
        at, shows = newest.get(tuple(last["series"]), ("", {key}))
        if at < last["fetched_at"] or key in shows:
            noted += [_finding(key, first, last)] if sightings[key] else []
        elif before is not None:
            findings.close(before.id, "resolved", "quantx", _AGAIN)
    findings.note(noted)


def _known(findings: Findings) -> dict[_Key, _Known]:
    """Return the findings about drift that are open or acknowledged."""
    rows = (row for rule in DRIFT_RULES.values() for row in findings.listed(None, rule=rule.id))
    return {
        (row["rule"], row["subject"], row["source"], row["dataset"]): _Known(row["id"], row["facts"])
        for row in rows
        if row["status"] != "resolved"
    }


def _sighting(reply: ComparedReply, change: FieldChange, page: _Page) -> _Sighting:
    return {
        "series": list(_series_key(reply.series)),
        "raw": reply.raw,
        "payload_sha256": page[0],
        "request": page[1],
        "fetched_at": _stamp(reply.fetched_at),
        "declared": change.declared,
        "sent": change.sent,
    }


def _finding(key: _Key, first: _Sighting, last: _Sighting) -> Finding:
    rule, path, source, dataset = _RULES[key[0]], *key[1:]
    declared, sent = first["declared"], first["sent"]
    kind = "" if declared == "any" else f" ({declared})"
    fact = {
        "added": f"sends {path} ({sent}), which is not declared: it is kept in the raw zone, and not read",
        "missing": f"no longer sends {path}{kind}",
        "retyped": f"sends {path} as {sent} in place of {declared}",
    }[_KINDS[rule.id]]
    return Finding(
        rule.id,
        rule.severity,
        path,
        f"{source} {fact}; first in its reply about {first['series'][3]} of {first['fetched_at'][:19]} UTC"
        f" ({dataset}, raw object {first['raw']}): check what has changed, adapt the shape of the provider, and run"
        " `quantx reprocess`; or acknowledge it with a reason",
        source=source,
        dataset=dataset,
        facts={
            "field": path,
            "change": _KINDS[rule.id],
            "declared": declared,
            "sent": sent,
            "first": first,
            "last": last,
        },
    )


def _series_key(series: Series) -> _SeriesKey:
    return (series.source, series.dataset, series.timeframe, series.symbol)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
