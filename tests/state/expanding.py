"""The rule of expanding migrations: the program of the version before reads and writes as it did."""

from __future__ import annotations

import re

_BODY = re.compile(r"(\$\w*\$).*?\1", re.DOTALL)
_TEXT = re.compile(r"'(?:[^']|'')*'")
_COMMENT = re.compile(r"--[^\n]*")
_NEW = re.compile(r"(create (table|index|view|sequence|function|trigger)|comment on|grant|insert into|update)\b")
_CREATED = re.compile(r"create table (?:if not exists )?(\S+)")
_UNIQUE_INDEX = re.compile(r"create unique index (?:if not exists )?\S+ on (\S+)")
_ALTER = re.compile(r"alter table (?:if exists )?(\S+) (.+)")
_ADD_COLUMN = re.compile(r"add column (?:if not exists )?\S+ .+")
_CONSTRAINT = re.compile(r"\b(unique|check|references|primary key|generated|constraint)\b")


def statements(migration: str) -> list[str]:
    """Return the statements in small letters on one line each, without comments, texts and bodies of functions."""
    plain = _COMMENT.sub("", _TEXT.sub("''", _BODY.sub("''", migration))).lower()
    return [" ".join(part.split()) for part in plain.split(";") if part.strip()]


def breaks(migration: str) -> list[str]:
    """Return the clauses of a migration that the program of the version before may not survive."""
    found: list[str] = []
    created: set[str] = set()
    for statement in statements(migration):
        if made := _CREATED.match(statement):
            created.add(made[1])
        if unique := _UNIQUE_INDEX.match(statement):
            if unique[1] not in created:
                found.append(statement)
        elif altered := _ALTER.match(statement):
            if altered[1] not in created:
                found += [clause for clause in _clauses(altered[2]) if not _harmless(clause)]
        elif not _NEW.match(statement):
            found.append(statement)
    return found


def _clauses(alterations: str) -> list[str]:
    """Split at the commas outside brackets."""
    clauses, depth, start = [], 0, 0
    for place, letter in enumerate(alterations):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            clauses.append(alterations[start:place].strip())
            start = place + 1
    return [*clauses, alterations[start:].strip()]


def _harmless(clause: str) -> bool:
    """Return whether a clause adds a column that an insert may omit and that restricts no other column."""
    return (
        _ADD_COLUMN.match(clause) is not None
        and _CONSTRAINT.search(clause) is None
        and ("not null" not in clause or " default " in clause)
    )
