"""The named statements: PostgreSQL understands each, each says what it does, none is dead."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from quantx.errors import StateError
from quantx.state.database import Database

SOURCE = Path(__file__).parents[2] / "src" / "quantx"
NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
PARAMETER = re.compile(r"%\((\w+)\)s")


def statements() -> dict[str, str]:
    found = {}
    for file in sorted((SOURCE / "state").glob("*/statements.sql")):
        _, *parts = NAME.split(file.read_text("utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            key = f"{file.parent.name}.{name}"
            assert key not in found, f"{key} is there twice"
            found[key] = text
    return found


STATEMENTS = statements()


def prepared(name: str) -> bytes:
    numbers: dict[str, str] = {}
    text = PARAMETER.sub(lambda match: numbers.setdefault(match[1], f"${len(numbers) + 1}"), STATEMENTS[name])
    return f'prepare "{name}" as {text.replace("%%", "%")}'.encode()


def test_postgresql_understands_every_statement(database: Database) -> None:
    for name in STATEMENTS:
        with database.transaction() as connection:
            connection.execute(prepared(name))


def test_every_statement_is_used() -> None:
    modules = [path.read_text("utf-8") for path in SOURCE.rglob("*.py")]
    unused = [name for name in STATEMENTS if not any(f'"{name}"' in text for text in modules)]
    assert unused == [], "no module of src/quantx runs these"


def test_every_statement_that_is_run_exists() -> None:
    files = {name.partition(".")[0] for name in STATEMENTS}
    wanted = re.compile(rf'"((?:{"|".join(sorted(files))})\.\w+)"')
    modules = [p for folder in ("state", "queues") for p in (SOURCE / folder).rglob("*.py")]
    named = {name for p in modules for name in wanted.findall(p.read_text("utf-8"))}
    assert {n for n in named - STATEMENTS.keys() if not n.endswith(".yaml")} == set()


def test_every_statement_takes_its_values_as_parameters() -> None:
    for name, text in STATEMENTS.items():
        assert not re.search(r"%s|\{", PARAMETER.sub("", text).replace("'{}'", "")), name


def test_the_sql_is_part_of_the_package() -> None:
    assert resources.files("quantx.state").joinpath("schema", "schema_1.sql").is_file()


def test_an_error_of_postgresql_is_ours(database: Database) -> None:
    with pytest.raises(StateError, match=r"^PostgreSQL: relation"), database.transaction() as connection:
        connection.execute("select * from nowhere")
