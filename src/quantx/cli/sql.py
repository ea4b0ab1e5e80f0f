"""The commands of SQL: sql, and db init."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from quantx.cli.options import UseLocal, exits, format_of, reading_settings
from quantx.cli.output import counted, err, out, print_table
from quantx.errors import ConfigError
from quantx.reader.lake import lake_of
from quantx.reader.sql.limits import Limits, Result

_FORMATS = ("table", "csv", "json", "parquet")
_SHOWN = 100  # rows of a table on the terminal
_VIEWS = Path("data/quantx.duckdb")

db = typer.Typer(help="Write a DuckDB file of views for other tools.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("sql")(exits(sql))
    db.command("init")(exits(db_init))
    app.add_typer(db, name="db")


def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT; without it a shell, or the query of stdin.")] = None,
    format: Annotated[  # noqa: A002 — the option's name
        str | None, typer.Option(help="table, csv, json or parquet; by default as the file's name ends, else table.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    max_rows: Annotated[int, typer.Option(min=1, help="Cut the result to its first rows, with a message.")] = 1_000_000,
    timeout: Annotated[float, typer.Option(min=0.1, max=86_400, help="Seconds after which a query is stopped.")] = 60,
    use_local: UseLocal = False,
) -> int:
    """Run one SQL SELECT over the lake's tables. No database is needed, and nothing can be changed.

    The tables are `bars`, `bars_adjusted`, `actions` and others: `quantx sql "show tables"` lists them.

    Example: quantx sql "select symbol, max(close) from bars group by symbol" -o highs.csv
    """
    form = format_of(format, output, _FORMATS)
    lake = lake_of(reading_settings(use_local))
    limits = Limits(timeout, max_rows)
    if query is None and sys.stdin.isatty():
        from quantx.cli.sql_shell import run_shell

        return run_shell(lambda text: _write(lake.run_sql(text, None, limits), form, output))
    _write(lake.run_sql(sys.stdin.read() if query is None else query, None, limits), form, output)
    return 0


def db_init(
    file: Annotated[
        Path | None, typer.Argument(help=f"The file; by default that of the setting `sql_views`, or {_VIEWS}.")
    ] = None,
    use_local: UseLocal = False,
) -> int:
    """Write a small DuckDB file of views of the lake, for DBeaver, Excel by ODBC, R and other tools.

    The views read the lake's files as they are now; with QUANTX_SQL_VIEWS set to the file, each run refreshes it.

    Example: quantx db init data/quantx.duckdb
    """
    settings = reading_settings(use_local)
    path = file or settings.sql_views or _VIEWS
    lake_of(settings).write_views(path)
    out.print(f"views of {settings.lake_url} written to {path}", markup=False)
    if settings.sql_views is None:
        out.print(f"set QUANTX_SQL_VIEWS={path}, and each run refreshes them", markup=False)
    return 0


def _write(result: Result, form: str, output: Path | None) -> None:
    rows = result.rows
    if output is not None:
        _write_file(rows, form, output)
    elif form == "table":
        _print(rows)
    else:
        sys.stdout.write(_text(rows, form))
    if result.cut:
        err.print(f"the result was cut to its first {counted(rows.height, 'row')}; raise --max-rows for more")


def _write_file(rows: pl.DataFrame, form: str, output: Path) -> None:
    try:
        if form == "parquet":
            rows.write_parquet(output)
        else:
            output.write_text(_text(rows, form), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror or error}") from error
    out.print(f"{counted(rows.height, 'row')} written to {output}", markup=False)


def _text(rows: pl.DataFrame, form: str) -> str:
    if form == "csv":
        nested = [_as_json(rows[c]) for c, kind in rows.schema.items() if kind.is_nested()]
        return rows.with_columns(nested).write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
    finite = [pl.when(pl.col(c).is_finite()).then(c) for c, kind in rows.schema.items() if kind.is_float()]
    rows = rows.with_columns(finite)  # JSON has no NaN and no infinity
    return json.dumps(rows.to_dicts(), default=_plain, ensure_ascii=False, indent=2) + "\n"


def _as_json(values: pl.Series) -> pl.Series:
    texts = [
        None if each is None else json.dumps(each, default=_plain, ensure_ascii=False) for each in values.to_list()
    ]
    return pl.Series(values.name, texts, pl.String)


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _print(rows: pl.DataFrame) -> None:
    cut = f", the first {_SHOWN}; -o FILE writes all" if rows.height > _SHOWN else ""
    if rows.height:
        print_table(f"{counted(rows.height, 'row')}{cut}", rows.head(_SHOWN).to_dicts(), {c: c for c in rows.columns})
    else:
        out.print("no rows")
