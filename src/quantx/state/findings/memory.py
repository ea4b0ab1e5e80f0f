"""Findings in memory."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from datetime import date
from typing import Any

from typing_extensions import override

from quantx.core.model import SEVERITIES, Finding
from quantx.state.findings.port import ClosedStatus, Findings, OpenFinding
from quantx.state.memory_records import Records
from quantx.state.values import Row

_COLUMNS = [column.name for column in fields(OpenFinding)]


class MemoryFindings(Findings):
    """Findings in a dictionary: one row per rule, subject, source, dataset and first day."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._ids = itertools.count(1)
        self._rows: dict[tuple[str, str, str, str, date | None], Row] = {}

    @override
    def note(self, findings: Sequence[Finding]) -> int:
        with self._records.lock:
            return sum(self._note(finding) for finding in {f.key: f for f in findings}.values())

    def _note(self, finding: Finding) -> bool:
        now = self._records.clock.now()
        latest = {
            "last_day": finding.last_day,
            "severity": finding.severity,
            "message": finding.message,
            "facts": dict(finding.facts),
            "last_seen": now,
        }
        unsettled = {"status": "open", "settled_at": None, "settled_by": None, "reason": None}
        row = self._rows.get(finding.key)
        if row is not None:
            more = _times(finding.facts) > _times(row["facts"])
            again = {"status": "open"} if row["status"] == "acknowledged" and more else {}
            row |= latest | (unsettled if row["status"] == "resolved" else again)
            return False
        names = ("rule", "subject", "source", "dataset", "first_day")
        key = dict(zip(names, finding.key, strict=True))
        self._rows[finding.key] = {"id": next(self._ids), **key, **latest, **unsettled, "first_seen": now}
        return True

    def erase(self, is_deleted: Callable[[Row], bool], *, dry_run: bool = False) -> int:
        """Delete findings; return how many."""
        with self._records.lock:
            gone = [key for key, row in self._rows.items() if is_deleted(row)]
            for key in () if dry_run else gone:
                del self._rows[key]
        return len(gone)

    @override
    def resolve(self, rule: str, subjects: Collection[str], reason: str) -> int:
        with self._records.lock:
            rows = [
                row
                for row in self._rows.values()
                if row["rule"] == rule and row["subject"] in subjects and row["status"] == "open"
            ]
            for row in rows:
                self._become(row, "resolved", "quantx", reason)
            return len(rows)

    @override
    def restate(
        self,
        rules: Collection[str],
        source: str | None,
        dataset: str | None,
        findings: Sequence[Finding],
        reason: str,
        subjects: Collection[str] | None = None,
        days: Mapping[str, tuple[date, date]] | None = None,
    ) -> tuple[int, int]:
        keys = {finding.key for finding in findings}
        with self._records.lock:
            gone = [
                row
                for key, row in self._rows.items()
                if row["status"] == "open"
                and key not in keys
                and row["rule"] in rules
                and source in (None, row["source"])
                and dataset in (None, row["dataset"])
                and (subjects is None or row["subject"] in subjects)
                and (days is None or _within(row, days.get(row["subject"])))
            ]
            for row in gone:
                self._become(row, "resolved", "quantx", reason)
            return self.note(findings), len(gone)

    @override
    def close(self, finding_id: int, status: ClosedStatus, by: str, reason: str) -> bool:
        with self._records.lock:
            for row in self._rows.values():
                if row["id"] == finding_id and row["status"] != status:
                    self._become(row, status, by, reason)
                    return True
            return False

    def _become(self, row: Row, status: str, by: str, reason: str) -> None:
        row |= {"status": status, "settled_at": self._records.clock.now(), "settled_by": by, "reason": reason}

    @override
    def open(
        self,
        rule: str,
        source: str | None = None,
        dataset: str | None = None,
        subjects: Collection[str] | None = None,
    ) -> list[OpenFinding]:
        with self._records.lock:
            rows = [
                row
                for row in self._rows.values()
                if (row["status"], row["rule"]) == ("open", rule)
                and source in (None, row["source"])
                and dataset in (None, row["dataset"])
                and (subjects is None or row["subject"] in subjects)
            ]
            findings = [OpenFinding(**{name: row[name] for name in _COLUMNS}) for row in rows]
        return sorted(findings, key=lambda f: (f.subject, f.source, f.dataset, f.first_day or date.min))

    @override
    def listed(
        self,
        limit: int | None,
        *,
        status: str | None = None,
        rule: str | None = None,
        subject: str | None = None,
        source: str | None = None,
        severity: str | None = None,
        offset: int = 0,
    ) -> list[Row]:
        wanted = {"status": status, "rule": rule, "subject": subject, "source": source, "severity": severity}
        with self._records.lock:
            rows = [dict(r) for r in self._rows.values() if all(v in (None, r[k]) for k, v in wanted.items())]
        rows.sort(key=lambda r: (r["last_seen"], r["id"]), reverse=True)
        rows.sort(key=lambda r: SEVERITIES.index(r["severity"]))
        return rows[offset : None if limit is None else offset + limit]

    @override
    def find(self, finding_id: int) -> Row | None:
        with self._records.lock:
            return next((dict(row) for row in self._rows.values() if row["id"] == finding_id), None)

    @override
    def count(self, *, subject: str | None = None, source: str | None = None) -> list[Row]:
        names = ("rule", "status", "severity")
        with self._records.lock:
            counted = Counter(
                tuple(row[name] for name in names)
                for row in self._rows.values()
                if subject in (None, row["subject"]) and source in (None, row["source"])
            )
        return [dict(zip(names, key, strict=True)) | {"findings": number} for key, number in counted.items()]

    @override
    def count_open(self) -> dict[str, int]:
        with self._records.lock:
            return dict(Counter(row["severity"] for row in self._rows.values() if row["status"] == "open"))


def _times(facts: Mapping[str, Any]) -> float:
    return float(facts.get("times", 1))


def _within(row: Row, days: tuple[date, date] | None) -> bool:
    """Return whether the finding has days and all of them lie between these two."""
    if days is None or row["first_day"] is None or row["last_day"] is None:
        return False
    return bool(days[0] <= row["first_day"] and row["last_day"] <= days[1])
