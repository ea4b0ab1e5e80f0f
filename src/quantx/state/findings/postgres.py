"""Findings in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date

from psycopg import Connection
from psycopg.rows import DictRow
from typing_extensions import override

from quantx.core.model import Finding
from quantx.state.database import Database, run, without_nul
from quantx.state.findings.port import ClosedStatus, Findings, OpenFinding
from quantx.state.values import Row


class PostgresFindings(Findings):
    """Findings in a table: one row per rule, subject, source, dataset and first day."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def note(self, findings: Sequence[Finding]) -> int:
        if not findings:
            return 0
        with self._database.transaction() as connection:
            return _note(connection, findings)

    @override
    def resolve(self, rule: str, subjects: Collection[str], reason: str) -> int:
        return len(self._database.rows("findings.resolve", rule=rule, subjects=list(subjects), reason=reason))

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
        names = ("found_rules", "found_subjects", "found_sources", "found_datasets", "found_firsts")
        now = {name: [finding.key[i] for finding in findings] for i, name in enumerate(names)}
        scope = {"rules": list(rules), "source": source, "dataset": dataset, "reason": reason}
        about = None if subjects is None else list(subjects)
        within = None if days is None else list(days)
        spans = {name: [span[i] for span in (days or {}).values()] for i, name in enumerate(("froms", "tos"))}
        with self._database.transaction() as connection:
            gone = run(
                connection, "findings.resolve_unseen", {**scope, **now, **spans, "subjects": about, "within": within}
            )
            return _note(connection, findings), len(gone)

    @override
    def close(self, finding_id: int, status: ClosedStatus, by: str, reason: str) -> bool:
        return bool(self._database.rows("findings.close", id=finding_id, status=status, by=by, reason=reason))

    @override
    def open(
        self,
        rule: str,
        source: str | None = None,
        dataset: str | None = None,
        subjects: Collection[str] | None = None,
    ) -> list[OpenFinding]:
        about = None if subjects is None else list(subjects)
        rows = self._database.rows("findings.list_open", rule=rule, source=source, dataset=dataset, subjects=about)
        return [OpenFinding(**row) for row in rows]

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
        return self._database.rows("findings.list_findings", limit=limit, offset=offset, **wanted)

    @override
    def find(self, finding_id: int) -> Row | None:
        rows = self._database.rows("findings.find", id=finding_id)
        return rows[0] if rows else None

    @override
    def count(self, *, subject: str | None = None, source: str | None = None) -> list[Row]:
        return self._database.rows("findings.count", subject=subject, source=source)

    @override
    def count_open(self) -> dict[str, int]:
        return {row["severity"]: row["findings"] for row in self._database.rows("findings.count_open")}


def _note(connection: Connection[DictRow], findings: Sequence[Finding]) -> int:
    last = {finding.key: finding for finding in findings}  # of several with one key the last stands
    if not last:
        return 0
    columns = zip(
        *(
            (*f.key[:4], f.first_day, f.last_day, f.severity, f.message, json.dumps(without_nul(f.facts), default=str))
            for f in last.values()
        ),
        strict=True,
    )
    names = ("rules", "subjects", "sources", "datasets", "firsts", "lasts", "severities", "messages", "facts")
    values = {name: list(column) for name, column in zip(names, columns, strict=True)}
    return sum(row["new"] for row in run(connection, "findings.note", values))
