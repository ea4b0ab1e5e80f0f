"""What a query can't do: by the parser's word, by the locked connection, and in a process with limited memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from quantx.core.tables import TABLES
from quantx.errors import SqlError
from quantx.reader import Lake, open_lake
from quantx.reader.sql.limits import Limits
from quantx.reader.sql.lockdown import locked_connection
from quantx.reader.sql.untrusted import UntrustedQueries

REFUSED = [
    ("", "empty"),
    ("-- select 1", "empty"),
    ("select 1; select 2", "2 statements"),
    ("select 1 /* ; */; drop view bars", "2 statements"),
    ("insert into bars_1d select * from bars_1d", "this is INSERT"),
    ("with x as (insert into bars_1d select * from bars_1d returning *) select * from x", "SELECT"),
    ("with x as (delete from bars_1d returning *) select * from x", "SELECT"),
    ("delete from bars", "this is DELETE"),
    ("create table t as select 1", "this is CREATE"),
    ("create or replace view bars as select 1", "this is CREATE"),
    ("drop view bars", "this is DROP"),
    ("copy bars to 'out.csv'", "this is COPY"),
    ("copy (select 1) to 'out.parquet' (use_tmp_file false)", "this is COPY"),
    ("export database 'out'", "this is"),
    ("attach 'out.db'", "this is ATTACH"),
    ("attach ':memory:' as m", "this is ATTACH"),
    ("install httpfs", "this is"),
    ("load 'httpfs'", "this is"),
    ("pragma version", "only SELECT is possible"),
    ("call pragma_version()", "this is CALL"),
    ("set threads = 1", "this is"),
    ("reset memory_limit", "this is"),
    ("explain analyze insert into bars_1d select * from bars_1d", "this is EXPLAIN"),
    ("begin", "this is TRANSACTION"),
    ("prepare p as select 1", "this is PREPARE"),
    ("select 1 into t", "the query has an error"),
    ("pivot bars on symbol using sum(volume)", "PIVOT"),
    ("select * from read_csv('/etc/passwd')", "'read_csv' is not available"),
    ("select (select content from read_text('/etc/passwd'))", "'read_text' is not available"),
    ("select * from read_parquet('**/*.parquet')", "'read_parquet' is not available"),
    ("select * from read_json('https://example.com/x.json')", "'read_json' is not available"),
    ("select * from glob('/*')", "'glob' is not available"),
    ("select * from '/etc/passwd'", "no table"),
    ("select * from 'https://example.com/x.parquet'", "no table"),
    ("select * from query('select * from duckdb_settings()')", "'query' is not available"),
    ("select * from query_table('bars')", "'query_table' is not available"),
    ("select * from duckdb_settings()", "'duckdb_settings' is not available"),
    ("select * from duckdb_secrets()", "'duckdb_secrets' is not available"),
    ("select * from pragma_table_info('bars')", "'pragma_table_info' is not available"),
    ("select * from pg_catalog.pg_settings", "no table"),
    ("select current_setting('memory_limit')", "current_setting is not available"),
    ("select getenv('HOME')", "getenv is not available"),
    ("select * from secret_frame", "no table"),  # a variable of this test's module
]
secret_frame = pl.DataFrame({"a": [1]})


@pytest.mark.parametrize(("query", "why"), REFUSED)
def test_refused(lake: Lake, query: str, why: str) -> None:
    with pytest.raises(SqlError, match=re.escape(why)):
        lake.sql(query)


def test_allowed(lake: Lake) -> None:
    for query in (
        "with bars as (select 1 as a) select a from bars -- ; drop view bars",
        "select ';' as a",
        "with recursive t(n) as (select 1 union all select n + 1 from t where n < 9) select max(n) as a from t",
        "pivot (select symbol, close from bars) on symbol in ('AAA', 'BBB') using max(close)",
        "select unnest(range(3)) as a",
        "from bars select symbol as a limit 1;",
        "describe bars",
        "summarize bars",
        "show tables",
        "select table_name as a from information_schema.tables",
        "values (1)",
    ):
        assert lake.sql(query).height >= 1, query


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("select * from barz", r"there is no table 'barz' \(did you mean bars\?\); the tables are bars, bars_adjusted"),
        ("select clos from bars", r"there is no column 'clos' \(did you mean close\?\); bars has symbol, date"),
        ("select b.clos from bars b", r"there is no column 'clos' \(did you mean close\?\)"),
        ("select 1,\n  2 frm bars", 'error in line 2, column 9: syntax error at or near "bars"'),
        ("select * from bars_asof", r"bars_asof needs its arguments: bars_asof\('2020-01-02'\)"),
        ("select * from bars_asov('2020-01-01')", r"did you mean bars_asof"),
        ("select * from bars_asof('yesterday')", "the query has an error"),
        ("select cast('a' || symbol as int) from bars", "Could not convert string"),
        ("select error('x') from bars", "the query has an error"),
        ("select avg(symbol) from bars", "the query has an error"),
        ("select ?", "the query has an error"),
        ("select " + "1+" * 5000 + "1", r"error|nested"),
        ("select 1 -- " + "x" * 100_000, "limit is 100,000"),
    ],
)
def test_errors_are_plain(lake: Lake, query: str, text: str) -> None:
    with pytest.raises(SqlError, match=text) as caught:
        lake.sql(query)
    message = str(caught.value)
    assert "\n" not in message
    assert not any(word in message for word in ("Error:", "Traceback", "duckdb", "polars", "arrow", "LINE"))


@pytest.mark.parametrize(
    "query",
    [
        "with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t",
        "select count(*) from range(100000000) a, range(1000000) b where a.range + b.range = -1",
        "select max(sha256(range::varchar)) from range(1000000000)",
    ],
)
def test_a_query_without_end_is_stopped(lake: Lake, query: str) -> None:
    with pytest.raises(SqlError, match=r"ran longer than 0\.2 seconds and was stopped; narrow it"):
        lake.sql(query, timeout=0.2)
    assert lake.sql("select 1 a").item() == 1


def test_memory_is_limited(lake_folder: Path) -> None:
    lake = open_lake(str(lake_folder))
    lake.run_sql("select 1", None, Limits(), memory=64 * 2**20)
    with pytest.raises(SqlError, match="needs more memory than it may use"):
        lake.sql("select count(distinct md5(range::varchar)) from range(30000000)")


def test_the_connection_alone_reaches_nothing_outside_and_changes_no_file(lake_folder: Path, tmp_path: Path) -> None:
    """Without the check of the statement: the second line of defence."""
    file = next((lake_folder / "curated/actions").rglob("*.parquet"))
    before = file.read_bytes()
    connection = locked_connection([str(lake_folder / "curated")], None)
    connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    outside = tmp_path / "x"
    for query in (
        f"COPY t TO '{outside}'",
        f"ATTACH '{outside}'",
        "SELECT * FROM read_text('/etc/passwd')",
        f"SELECT * FROM read_text('{lake_folder}/curated/../../../../../../../etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x')",
        "SELECT * FROM secret_frame",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '1TB'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "WITH x AS (INSERT INTO t VALUES (2) RETURNING *) SELECT * FROM x",
        "INSERT INTO t VALUES (2)",
    ):
        cursor = connection.cursor()
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        with pytest.raises(Exception, match=r"disabled|read-only|locked|does not exist|A CTE needs|extension"):
            cursor.execute(query).fetchall()
        cursor.close()
    assert connection.execute("SELECT * FROM t").fetchall() == [(1,)]
    assert not outside.exists()
    assert file.read_bytes() == before
    connection.close()


@pytest.fixture(scope="module")
def untrusted(lake_folder: Path) -> Iterator[UntrustedQueries]:
    queries = UntrustedQueries(open_lake(str(lake_folder)), memory=512 * 2**20)
    yield queries
    queries.close()


@pytest.mark.slow
def test_a_process_of_its_own_gives_the_same_rows_and_errors(untrusted: UntrustedQueries, lake: Lake) -> None:
    query = "select * from bars_adjusted where symbol = $s order by date"
    result = untrusted.run(query, {"s": "AAA"}, Limits())
    assert result.rows.equals(lake.sql(query, {"s": "AAA"}))
    assert not result.cut
    assert untrusted.run("select * from bars", None, Limits(rows=2)).cut
    with pytest.raises(SqlError, match="did you mean close"):
        untrusted.run("select clos from bars", None, Limits())
    # Neither DuckDB's limit of memory nor an interrupt stops this one: the process refuses it, or is ended.
    with pytest.raises(SqlError, match=r"more memory|was stopped"):
        untrusted.run("select length(repeat('x', 2000000000) || repeat('y', 2000000000))", None, Limits(seconds=2))
    assert untrusted.run("select count(*) n from bars", None, Limits()).rows.item() == 10
    process = untrusted._process
    assert process is not None
    os.kill(process.pid, 9)
    with pytest.raises(SqlError, match="ended"):
        untrusted.run("select 1", None, Limits())
    assert untrusted.run("select 1 n", None, Limits()).rows.item() == 1


def test_names_are_declared_once() -> None:
    from quantx.reader.sql.catalog import VIEWS

    assert not set(VIEWS).intersection(TABLES)
