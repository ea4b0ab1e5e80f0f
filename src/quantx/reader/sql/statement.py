"""Check a query before it runs: by the parser's word it is one SELECT, over known tables and harmless functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from quantx.errors import SqlError
from quantx.reader.arguments import did_you_mean
from quantx.reader.sql.catalog import VIEWS, columns_of
from quantx.reader.sql.messages import plain_error

MOST_CHARACTERS = 100_000
TOO_DEEP = "the query is nested too deeply; split it into steps with WITH"
_LISTED = "information_schema"  # its views list the tables and columns
# A table function runs only if it is here or is a view of ours: others read files, settings or other queries' texts.
_TABLE_FUNCTIONS = {"generate_series", "json_each", "json_tree", "range", "unnest"}
# Functions that read the settings, the environment or files, or run a query that this check has not seen.
_REFUSED = {
    "add_parquet_key",
    "current_setting",
    "getenv",
    "getvariable",
    "nextval",
    "parse_duckdb_log_message",
    "set_config",
    "sql_auto_complete",
    "which_secret",
    "write_log",
}
_QUERIES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_LISTINGS = {"SHOW_REF"}


@dataclass(frozen=True)
class Statement:
    """One SELECT, and the names of the tables and views that it uses; `lists`: it lists tables."""

    sql: str
    names: frozenset[str]
    lists: bool


def check_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> Statement:
    """Return the statement, or raise SqlError: it is not one SELECT, or uses something else than tables."""
    if not isinstance(sql, str):
        raise SqlError(f"{sql!r} is not a query; write one SELECT as a text")
    if any("\ud800" <= character <= "\udfff" for character in sql):
        raise SqlError("the query has half of a character, which is no text; decode it as UTF-8")
    if len(sql) > MOST_CHARACTERS:
        raise SqlError(f"the query has {len(sql):,} characters; the limit is {MOST_CHARACTERS:,}")
    _check_kind(connection, sql)
    try:
        tree = json.loads(_serialized(connection, sql))
        nodes = list(_nodes(tree))
    except RecursionError:
        raise SqlError(TOO_DEEP) from None
    if tree.get("error"):
        raise SqlError(f"only SELECT is possible here: {tree.get('error_message')}")
    return _checked(sql, nodes)


def _check_kind(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    try:
        statements = connection.extract_statements(sql)
    except (duckdb.ParserException, duckdb.NotImplementedException) as error:
        raise _syntax_error(connection, sql, error) from None
    except (duckdb.Error, MemoryError) as error:
        raise plain_error(error, ()) from None
    kinds = [str(each.type).rpartition(".")[2] for each in statements]
    if not kinds:
        raise SqlError("the query is empty; write one SELECT, as in: select * from bars limit 5")
    if "MULTI" in kinds or (len(kinds) > 1 and ";" not in sql):  # as it is in DuckDB 2, and in 1
        raise SqlError("PIVOT needs its values here: PIVOT … ON column IN (value, …) USING …")
    if len(kinds) > 1:
        raise SqlError(f"the query has {len(kinds)} statements; run one SELECT at a time")
    if kinds[0] != "SELECT":
        raise SqlError(f"only SELECT is possible here, and this is {kinds[0].replace('_', ' ')}; the lake is read-only")


def _serialized(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    try:
        row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0]
    except duckdb.Error:
        raise SqlError(
            "the query can't be checked: it has a part that is not a SELECT; write it in another way"
        ) from None
    return str(row[0])


def _syntax_error(connection: duckdb.DuckDBPyConnection, sql: str, error: duckdb.Error) -> SqlError:
    """Return the error with the place: the line and the column, both from 1."""
    try:
        tree = json.loads(_serialized(connection, sql))
    except (SqlError, RecursionError):
        tree = {}
    what = str(tree.get("error_message") or str(error).partition(":")[2]).strip().splitlines()[0]
    if "expression depth" in what:
        return SqlError(TOO_DEEP)
    position = str(tree.get("position", ""))
    if not position.isdigit():
        return SqlError(f"the query has an error: {what}")
    before = sql.encode()[: int(position)].decode(errors="ignore")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return SqlError(f"the query has an error in line {line}, column {column}: {what}")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _checked(sql: str, nodes: list[dict[str, Any]]) -> Statement:
    own = {entry["key"].lower() for each in nodes for entry in (each.get("cte_map") or {}).get("map", [])}
    own |= {str(each["cte_name"]).lower() for each in nodes if each.get("cte_name")}
    names: set[str] = set()
    lists = False
    for each in nodes:
        kind = str(each.get("type", ""))
        if kind.endswith("_NODE") and kind not in _QUERIES:
            raise SqlError("only SELECT is possible here, also in WITH; the lake is read-only")
        if kind == "BASE_TABLE":
            lists |= _table(each, own, names)
        elif kind == "TABLE_FUNCTION":
            _table_function(each, names)
        elif kind in _LISTINGS:
            lists = True
        elif str(each.get("function_name", "")).lower() in _REFUSED:
            raise SqlError(f"the function {each['function_name']} is not available here: it reads more than tables")
    return Statement(sql, frozenset(names), lists)


def _table(node: dict[str, Any], own: set[str], names: set[str]) -> bool:
    """Add the table of a node to `names`; return whether it lists tables. SqlError for an unknown one."""
    table = str(node.get("table_name", "")).lower()
    if str(node.get("schema_name", "")).lower() == _LISTED:
        return True
    known = columns_of()
    if table in own and table not in known:
        return False
    view = VIEWS.get(table)
    if view is not None and view.parameters:
        raise SqlError(f"{table} needs its arguments: {_example(table)}")
    if table in known:
        names.add(table)
    elif table not in own:
        raise SqlError(
            f"there is no table {table!r}{did_you_mean(table, known)}; the tables are {', '.join(_shown(known))}"
        )
    return False


def _table_function(node: dict[str, Any], names: set[str]) -> None:
    function = str((node.get("function") or {}).get("function_name", "")).lower()
    if function in VIEWS and VIEWS[function].parameters:
        names.add(function)
    elif function not in _TABLE_FUNCTIONS:
        known = [view for view in VIEWS if VIEWS[view].parameters]
        raise SqlError(
            f"the table function {function!r} is not available here{did_you_mean(function, known)}: a query reads the"
            " lake's tables only, no files, settings or addresses"
        )


def _example(view: str) -> str:
    return "universe_on('us_sp500', '2020-01-02')" if view == "universe_on" else f"{view}('2020-01-02')"


def _shown(known: dict[str, list[str]]) -> list[str]:
    """Return the names for a message: views first, without revisions."""
    first = [VIEWS[each].call for each in VIEWS if not each.endswith("_asof") or each == "bars_asof"]
    return first + [each for each in known if each not in VIEWS and not each.endswith("_revisions")]
