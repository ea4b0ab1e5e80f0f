"""Commands about rejected rows: quarantine list, show, replay, accept; reprocess."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from json import loads
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from quantx.cli.audited import audited
from quantx.cli.options import (
    Json,
    MostRows,
    Symbols,
    UseLocal,
    exits,
    known_rule,
    known_source,
    settings_for,
    split_symbols,
)
from quantx.cli.output import counted, err, out, print_json, print_table, work_progress
from quantx.core.option_tables import is_of_options
from quantx.core.prices import PRICES
from quantx.core.symbols import MarketName, parse_symbol, stored_symbol
from quantx.errors import Busy, ConfigError
from quantx.pipeline.runtime.platform import open_platform

if TYPE_CHECKING:
    from quantx.pipeline.reprocessing.quarantine import RowSelection
    from quantx.pipeline.reprocessing.summary import ReprocessSummary

quarantine = typer.Typer(
    help="List rejected rows, validate them again, and accept the correct ones.", no_args_is_help=True
)

Rule = Annotated[str | None, typer.Option(help="Only rows that violate this rule.")]
Symbol = Annotated[str | None, typer.Option(help="Only rows of this symbol.")]
Source = Annotated[str | None, typer.Option(help="Only this vendor.")]
_COLUMNS = ["id", "state", "symbol", "date", "source", "dataset", "rules", "policy", "row"]
_HEADS = {name: name for name in _COLUMNS} | {"policy": "rules version"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    quarantine.command("list")(exits(quarantine_list))
    quarantine.command("show")(exits(quarantine_show))
    quarantine.command("replay")(exits(quarantine_replay))
    quarantine.command("accept")(exits(quarantine_accept))
    app.add_typer(quarantine, name="quarantine")
    app.command("reprocess")(exits(reprocess))


def quarantine_list(
    rule: Rule = None,
    symbol: Symbol = None,
    source: Source = None,
    market: Annotated[MarketName | None, typer.Option(help="Only this market.")] = None,
    state: Annotated[
        Literal["open", "replayed", "accepted"] | None,
        typer.Option(help="open: rejected; replayed: passes the current rules; accepted: manual override."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Maximum number of rows, the newest first.")] = 50,
    most: MostRows = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """List rejected rows with their values and the violated rules, the newest first.

    Example: quantx quarantine list --rule high_is_highest --state open
    """
    from quantx.pipeline.reprocessing.quarantine import RowSelection, rejected_rows

    chosen = RowSelection(
        ids=(),
        rule=known_rule(rule),
        symbol=symbol and stored_symbol(symbol),
        source=known_source(source, settings_for(use_local)),
        market=market,
        state=state,
    )
    with open_platform(settings_for(use_local)) as platform:
        rows = rejected_rows(platform.tables, chosen)
    shown = rows.head(most or limit)
    if json:
        print_json(shown.to_dicts())
    elif rows.is_empty():
        out.print("no rejected rows")
    else:
        more = "" if rows.height == shown.height else f", the newest {shown.height:,}"
        title = f"{counted(rows.height, 'rejected row')}{more}"
        print_table(title, [_in_short(row) for row in shown.to_dicts()], _HEADS)
    return 0


def quarantine_show(
    row: Annotated[str, typer.Argument(help="The row's id, or its beginning, as `quantx quarantine list` shows it.")],
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Show a rejected row: its values, the violated rules with their reasons, and its place in the vendor's reply.

    Example: quantx quarantine show 3f9a1c07d2
    """
    from quantx.pipeline.reprocessing.quarantine import show

    with open_platform(settings_for(use_local)) as platform:
        facts = show(platform.tables, platform.location, row)
    if json:
        print_json(facts)
    else:
        _print_row(facts)
    return 0


def quarantine_replay(
    rows: Annotated[list[str] | None, typer.Argument(help="Ids of rows; or select rows by the options.")] = None,
    rule: Rule = None,
    symbol: Symbol = None,
    source: Source = None,
    everything: Annotated[bool, typer.Option("--all", help="All open rows.")] = False,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Validate rejected rows again under the current rules, from the raw replies of their series.

    Rows that pass are curated; rows that no longer pass are rejected. The command is idempotent. Changed symbols are
    inspected again. Rows of options are left out: a corrected file of the vendor brings them.

    Example: quantx quarantine replay --symbol 0700.HK
    """
    from quantx.pipeline.reprocessing.quarantine import RowSelection, replay
    from quantx.pipeline.wiring import inspect_reprocessed, reprocessor_of

    if not (rows or rule or symbol or source or everything):
        raise ConfigError("no rows were selected: use ids, --rule, --symbol, --source or --all")
    chosen = RowSelection(
        ids=tuple(rows or ()),
        rule=known_rule(rule),
        symbol=symbol and stored_symbol(symbol),
        source=known_source(source, settings_for(use_local)),
    )
    try:
        with open_platform(settings_for(use_local)) as platform:
            with audited(platform.state, "quarantine.replay", _about(chosen)):
                done = replay(reprocessor_of(platform), chosen)
            failed = inspect_reprocessed(platform, done.reprocessed)
    except Busy as error:
        err.print(str(error))
        return 1
    judged = {state: done.rows.filter(state=state).height for state in ("replayed", "open", "accepted")}
    if json:
        print_json({"rows": judged, "reprocessed": [each.as_facts() for each in done.reprocessed]})
    else:
        rows_validated = counted(done.rows.height, "row")
        out.print(f"{rows_validated} validated: {judged['replayed']:,} pass, {judged['open']:,} still rejected")
        _print_reprocessed(done.reprocessed)
    return _code(done.reprocessed, failed)


def _about(chosen: RowSelection) -> str:
    """Return the rows of a selection in words, for the audit."""
    if chosen.ids:
        return f"row {', '.join(chosen.ids)}"
    return "; ".join(f"{name} {value}" for name, value in vars(chosen).items() if value) or "all open rows"


def quarantine_accept(
    row: Annotated[str, typer.Argument(help="The row's id, or its beginning, as `quantx quarantine list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why the row is right although a rule rejects it.")],
    by: Annotated[str | None, typer.Option(help="Approver; your login by default.")] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Accept a rejected row into the curated table by manual override; the decision is recorded and permanent.

    Reads with `as_of` before the decision do not return the row. A row of options can't be accepted.

    Example: quantx quarantine accept 3f9a1c07d2 --reason "the exchange confirms the print" --by ops
    """
    from quantx.pipeline.reprocessing.quarantine import SHOWN, accept
    from quantx.pipeline.wiring import inspect_reprocessed, reprocessor_of

    try:
        with open_platform(settings_for(use_local)) as platform:
            with audited(platform.state, "quarantine.accept", f"row {row}", reason=reason, by=by):
                done = accept(reprocessor_of(platform), row, reason, by or getpass.getuser())
            failed = inspect_reprocessed(platform, done.reprocessed)
    except Busy as error:
        err.print(str(error))
        return 1
    facts = done.rows.row(0, named=True)
    if json:
        print_json({"row": facts, "reprocessed": [each.as_facts() for each in done.reprocessed]})
    else:
        out.print(
            f"{facts['id'][:SHOWN]}: {facts['symbol']} {facts['date']} is accepted by {facts['by']}", markup=False
        )
        _print_reprocessed(done.reprocessed)
    return _code(done.reprocessed, failed)


def reprocess(
    symbols: Symbols = None,
    source: Source = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would change.")] = False,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Derive the curated tables again from the raw replies, after a change of rules, adapters or decisions.

    The command reports the changes, and commits nothing where there are none. Replaced rows stay in the revisions.
    Changed symbols are inspected again.

    Example: quantx reprocess --symbols AAPL,0700.HK --dry-run
    """
    from quantx.pipeline.wiring import inspect_reprocessed, reprocessor_of

    names = [parse_symbol(symbol) for symbol in split_symbols(symbols)] or None
    try:
        with open_platform(settings_for(use_local)) as platform, work_progress() as display:
            bar = display.add_task("reprocessing", total=None, note="")
            done = reprocessor_of(platform).reprocess(
                names,
                known_source(source, platform.settings),
                dry_run=dry_run,
                on_batch=lambda batch, total: display.update(bar, completed=batch, total=total),
            )
            failed = inspect_reprocessed(platform, [done])
    except Busy as error:
        err.print(str(error))
        return 1
    print_json(done.as_facts()) if json else _print_reprocessed([done])
    return _code([done], failed)


def _code(done: Sequence[ReprocessSummary], failed: Sequence[str]) -> int:
    if failed:
        err.print(f"inspection failed: {', '.join(failed)}; `quantx validate run` repeats it")
    return 1 if failed or any(each.left for each in done) else 0


def _print_reprocessed(done: Sequence[ReprocessSummary]) -> None:
    for each in done:
        out.print(
            f"{counted(each.symbols, 'symbol')} derived again from {counted(each.replies, 'reply', 'replies')}"
            f" under rules version {each.policy}"
        )
        moved = {name: counts for name, counts in each.tables.items() if any(counts.values())}
        verb = "would be" if each.dry_run else "are"
        for name, counts in moved.items():
            changes = ", ".join(f"{count:,} {what}" for what, count in counts.items())
            out.print(f"  {name}: rows that {verb} {changes}")
        for rule, counts in each.rules.items():
            out.print(f"  rule {rule}: {counts['rejected']:,} newly rejected, {counts['passed']:,} pass")
        if not moved:
            out.print("  nothing changes")
        if each.examples:
            columns = ["table", "what", "symbol", "date", "time", "ex_date", "before", "after"]
            rows = [
                {c: _short(row.get(c)) for c in columns if any(c in e for e in each.examples)} for row in each.examples
            ]
            print_table("examples", rows)
        for (source, symbol), why in each.left.items():
            err.print(f"{symbol} of {source} is unchanged: {why}", markup=False)
        for path, why in each.mute.items():
            err.print(f"{path} was not used: {why}", markup=False)


def _short(value: Any) -> Any:
    """Return a row's values in one line."""
    if not isinstance(value, dict):
        return value
    return " ".join(f"{v:,.10g}" if isinstance(v, float) else str(v) for k, v in value.items() if k != "known_from")


def _in_short(row: dict[str, Any]) -> dict[str, Any]:
    """Return a rejected row with a short id and its values in one line."""
    from quantx.core.fact_datasets import dataset_of
    from quantx.core.quality.event_rules import breaks_event_rule
    from quantx.pipeline.reprocessing.quarantine import SHOWN

    rules = row["rules"]
    row = row | {"id": row["id"][:SHOWN], "rules": rules.replace(",", ", ")}
    if row["date"] is None or breaks_event_rule(rules):
        return row
    values = loads(row["row"])
    if dataset_of(row["dataset"]) is not None or is_of_options(row["dataset"]):
        return row | {"row": " ".join(str(value) for value in values.values() if value is not None)}
    minute = values.pop("time")[11:16] + " " if row["dataset"] == "bars_1m" else ""
    return row | {
        "row": minute + " ".join("–" if values.get(c) is None else f"{values[c]:.12g}" for c in (*PRICES, "volume"))
    }


def _print_row(facts: dict[str, Any]) -> None:
    from quantx.core.fact_datasets import dataset_of
    from quantx.core.quality.event_rules import breaks_event_rule
    from quantx.pipeline.reprocessing.quarantine import SHOWN

    is_event = breaks_event_rule(",".join(rule["id"] for rule in facts["rules"]))
    day = facts["date"] or ("an event without a date" if is_event else "a whole reply")
    payload, name = facts["payload"], facts["id"][:SHOWN]
    out.print(f"{name}: {facts['symbol']} {day} of {facts['source']}, for {facts['dataset']}; {facts['state']}")
    version = "(version not recorded)" if facts["policy"] is None else f"version {facts['policy']}"
    out.print(f"rejected by rules {version}; received at {facts['known_from']:%Y-%m-%d %H:%M:%S} UTC", markup=False)
    if facts["by"]:
        out.print(
            f"accepted by {facts['by']} at {facts['decided_at']:%Y-%m-%d %H:%M:%S} UTC: {facts['reason']}", markup=False
        )
    if facts["passed"] is not None:
        out.print(f"passes rules version {facts['passed']}")
    for rule in facts["rules"]:
        out.print(f"\n{rule['id']}: {rule['meaning']}\n  why: {rule['why']}\n  seen: {rule['reference']}", markup=False)
    if is_event:
        out.print(f"\nevent: {facts['row']}", markup=False)
    elif is_of_options(facts["dataset"]):
        out.print(f"\nrow: {facts['row']}", markup=False)
    elif dataset_of(facts["dataset"]) is not None:
        out.print(f"\nfact: {facts['row']}", markup=False)
    else:
        out.print(f"\nas traded: {facts['row']}\nas sent:   {facts['sent'] or 'not kept'}", markup=False)
    out.print(f"\nreply: {payload['path']}\n  SHA-256 {payload['sha256']}", markup=False)
    if "request" in payload:
        out.print(f"  {payload['request']}, HTTP {payload['status']}, {payload['bytes']:,} bytes", markup=False)
    if payload["excerpt"] is None:
        out.print(f"  {payload['problem']}", markup=False)
    else:
        out.print(f"  {'beginning' if facts['place'] is None else facts['place']}:", markup=False)
        for line in payload["excerpt"].splitlines():
            out.print(f"    {line}", markup=False)
