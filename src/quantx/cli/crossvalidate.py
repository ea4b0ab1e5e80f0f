"""Commands that compare vendors: crossvalidate compare, matrix, reconcile, fundamentals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import polars as pl
import typer

from quantx.cli.options import Json, Symbols, Universe, UseLocal, exits, parse_day, settings_for, split_symbols
from quantx.cli.output import counted, out, print_json, print_table
from quantx.core.symbols import parse_symbol
from quantx.errors import ConfigError
from quantx.pipeline.planning.scope import Scope, resolve_symbols
from quantx.pipeline.runtime.platform import Platform, open_platform
from quantx.settings import source_of

_SHOWN_DIFFERENCES = 30

Sources = Annotated[str | None, typer.Option(help="Two vendors or more, as in alpaca,yahoo; all by default.")]

crossvalidate = typer.Typer(
    help="Compare bars, splits, dividends and fundamentals of different vendors.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    crossvalidate.command("compare")(exits(crossvalidate_compare))
    crossvalidate.command("matrix")(exits(crossvalidate_matrix))
    crossvalidate.command("reconcile")(exits(crossvalidate_reconcile))
    crossvalidate.command("fundamentals")(exits(crossvalidate_fundamentals))
    app.add_typer(crossvalidate, name="crossvalidate")


def crossvalidate_compare(
    symbols: Annotated[str, typer.Option("--symbols", "--symbol", help="Comma-separated symbols, as in AAPL,0700.HK.")],
    sources: Sources = None,
    start: Annotated[str | None, typer.Option(help="First day.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, inclusive.")] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Tolerated difference of prices in per cent; that of the market by default."),
    ] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Compare vendors' as-traded daily bars, splits and dividends per symbol: agreement, differences, vendor in error.

    Nothing is written. Vendors outside --sources still act as referees where the lake has their bars. A vendor of
    adjusted prices only, such as Stooq, is compared if --sources names it; its volumes are not.

    Example: quantx crossvalidate compare --symbols AAPL,MSFT --sources alpaca,yahoo --start 2024-01-01
    """
    from quantx.pipeline.inspecting.compare_actions import compare_vendor_actions, event_days
    from quantx.pipeline.inspecting.comparison import events_of, symbols_of
    from quantx.pipeline.inspecting.reconcile import compare_vendors

    names = list(dict.fromkeys(map(parse_symbol, split_symbols(symbols))))
    first, last = parse_day(start, "--start") if start else None, parse_day(end, "--end") if end else None
    if first is not None and last is not None and first > last:
        raise ConfigError(f"--start {first} is after --end {last}")
    with open_platform(settings_for(use_local)) as platform:
        chosen = _sources(platform, sources)
        order = partial(platform.settings.sources_of, "1d")
        relative = None if tolerance is None else tolerance / 100
        pairs = compare_vendors(
            platform.tables, order, names, first, last, tolerance=relative, adjusted_of=chosen or ()
        )
        compared = [pair for pair in pairs if chosen is None or {pair.a, pair.b} <= chosen]
        days = event_days(platform.state.series, platform.providers, platform.clock.now())
        events = events_of(compare_vendor_actions(platform.tables, days, names, first, last))
        rows = [
            row | events.get((row["symbol"], row["source_a"], row["source_b"]), {"events": 0, "event_differences": []})
            for pair in compared
            for row in symbols_of(pair, platform.clock.now())
        ]
    if not rows:
        vendors = " and ".join(sorted(chosen)) if chosen else "two vendors"
        raise ConfigError(
            f"no session of {', '.join(names)} has as-traded bars of {vendors}; `quantx backfill --source …` fetches"
            " another vendor's bars, `quantx show-manifest` lists the lake's series"
        )
    if json:
        print_json(rows)
    else:
        _print(rows)
    return 0


def crossvalidate_matrix(
    universe: Universe = None,
    symbols: Symbols = None,
    sources: Sources = None,
    by_month: Annotated[bool, typer.Option("--by-month", help="Show each vendor's score over time instead.")] = False,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Show the share of sessions on which vendors agree, per market, as of the last reconciliation.

    Symbols that were not reconciled yet are compared now, if --symbols or --universe names them.

    Example: quantx crossvalidate matrix --by-month
    """
    from quantx.core.quality.vendor_verdicts import vendor_scores
    from quantx.pipeline.inspecting.comparison import matrix_of, squares_of

    if universe is not None and symbols is not None:
        raise ConfigError("--universe and --symbols exclude each other; give one")
    with open_platform(settings_for(use_local)) as platform:
        chosen = _sources(platform, sources)
        scope = Scope(split_symbols(symbols), universe)
        named = resolve_symbols(platform, scope) if scope.describe() else None
        agreements = _agreements(platform, named, chosen or set())
    if chosen is not None:
        agreements = agreements.filter(pl.col("source_a").is_in(chosen), pl.col("source_b").is_in(chosen))
    if agreements.is_empty():
        raise ConfigError(
            "no vendors were compared yet: fetch bars of two vendors, then run `quantx crossvalidate reconcile`"
        )
    rows = vendor_scores(agreements).to_dicts() if by_month else matrix_of(agreements)
    if json:
        print_json(rows)
    elif by_month:
        print_table("scores", rows)
    else:
        for market, square in squares_of(rows).items():
            print_table(f"share of sessions that agree, market {market}", square)
        print_table("sessions compared", rows)
    return 0


def crossvalidate_reconcile(
    symbols: Symbols = None,
    since: Annotated[str | None, typer.Option(help="From the month of this day on; all months by default.")] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Compare all vendors that have bars of the same symbols, and write agreements, verdicts and findings.

    The command is idempotent. `quantx query --source best` uses the result.

    Example: quantx crossvalidate reconcile --since 2024-01-01
    """
    from quantx.pipeline.inspecting.reconcile import reconcile

    names = [parse_symbol(s) for s in split_symbols(symbols)] if symbols is not None else None
    first = parse_day(since, "--since") if since else None
    with open_platform(settings_for(use_local)) as platform:
        order = partial(platform.settings.sources_of, "1d")
        done = reconcile(platform, platform.tables, order, symbols=names, since=first)
    if done is None:
        raise ConfigError("another process is comparing vendors; try again when it has ended")
    if json:
        print_json(vars(done))
        return 0
    out.print(
        f"{counted(done.symbols, 'symbol')}: {done.agreed:,} of {counted(done.sessions, 'session')} agree;"
        f" wrong bars: {done.wrong:,}, doubtful: {done.doubtful:,}; splits and dividends in doubt: {done.events:,};"
        f" {counted(done.findings, 'finding')}"
    )
    return 0


def crossvalidate_fundamentals(symbols: Symbols = None, json: Json = False, use_local: UseLocal = False) -> int:
    """Compare the standard concepts of sources that have statements of the same companies, and write findings.

    Companies are matched by their CIK, periods by their ends, and values agree within 0.5 %. The agreement counts a
    value that another source had before a restatement, too. The command is idempotent.

    Example: quantx crossvalidate fundamentals --symbols AAPL
    """
    from quantx.core.quality.fundamental_comparison import DIFFERS, OTHER_UNIT, summary_of
    from quantx.core.symbols import stored_symbol
    from quantx.pipeline.inspecting.compare_fundamentals import reconcile_fundamentals

    names = [stored_symbol(s) for s in split_symbols(symbols)] if symbols is not None else None
    with open_platform(settings_for(use_local)) as platform:
        pairs = reconcile_fundamentals(platform.tables, platform.state.findings, names)
    if not pairs:
        raise ConfigError(
            "no company has statements of two sources; `quantx fundamentals update --source fmp --symbols …` fetches"
            " those of a second one"
        )
    # A pair of sources may have several parts.
    whole: dict[tuple[str, str], list[pl.DataFrame]] = {}
    for pair in pairs:
        whole.setdefault((pair.a, pair.b), []).append(pair.compared)
    summary, odd = list[dict[str, Any]](), list[dict[str, Any]]()
    for (a, b), parts in whole.items():
        vendors, compared = {"source_a": a, "source_b": b}, pl.concat(parts)
        summary += [vendors | row for row in summary_of(compared).to_dicts()]
        differs = compared.filter(pl.col("outcome").is_in([DIFFERS, OTHER_UNIT])).sort("symbol", "concept", "end")
        odd += [vendors | row for row in differs.to_dicts()]
    if json:
        print_json({"concepts": summary, "differences": odd})
        return 0
    print_table("agreement by concept", summary)
    shown = odd[-_SHOWN_DIFFERENCES:]
    part = f"the newest {len(shown)} of {len(odd):,} " if len(shown) < len(odd) else ""
    print_table(f"{part}values that differ{' (--json lists all)' if part else ''}", shown)
    return 0


def _agreements(platform: Platform, symbols: Sequence[str] | None, chosen: Collection[str]) -> pl.DataFrame:
    """Return the agreements of these symbols, or of all; named symbols that have none are compared now.

    With a vendor that no stored agreement has, all symbols are compared now.
    """
    from quantx.core.tables import AGREEMENTS
    from quantx.pipeline.inspecting.reconcile import current_agreements, vendors_of

    here = pl.lit(True) if symbols is None else pl.col("symbol").is_in(symbols)
    stored = platform.tables[AGREEMENTS.name].read(here)
    if not {*stored["source_a"], *stored["source_b"]}.issuperset(chosen):
        stored = stored.clear()
        symbols = sorted(vendors_of(platform.state.series)) if symbols is None else symbols
    new = [symbol for symbol in symbols or () if symbol not in set(stored["symbol"])]
    order, now = partial(platform.settings.sources_of, "1d"), platform.clock.now()
    return pl.concat([stored, current_agreements(platform.tables, order, new, now, adjusted_of=chosen)])


def _sources(platform: Platform, text: str | None) -> set[str] | None:
    """Return the requested vendors; ConfigError for a vendor without bars in the lake, or for a single one."""
    from quantx.pipeline.inspecting.reconcile import vendors_of

    if text is None:
        return None
    given = {source_of(s) for s in text.split(",") if s.strip()}
    stored = {vendor for vendors in vendors_of(platform.state.series).values() for vendor in vendors}
    if unknown := sorted(given - stored):
        raise ConfigError(
            f"no daily bars of the source {unknown[0]!r} in the lake;"
            f" its sources: {', '.join(sorted(stored)) or 'none'}. `quantx backfill --source {unknown[0]} --symbols …"
            " --start …` fetches them"
        )
    if len(given) < 2:
        raise ConfigError("--sources needs two vendors or more, as in --sources alpaca,yahoo")
    return given


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    from quantx.pipeline.inspecting.comparison import causes_of

    shares = ("close", "open", "high", "low", "volume")
    columns = ["symbol", "source_a", "source_b", "sessions", *shares, "worst", "lacking_a", "lacking_b", "verdict"]
    columns.append("events")
    heads = {name: name.replace("_", " ") for name in columns} | {
        "worst": "largest difference",
        "lacking_a": "missing in a",
        "lacking_b": "missing in b",
    }
    print_table("share of sessions that agree, by field", rows, heads)
    causes = [
        {"symbol": row["symbol"], "vendors": f"{row['source_a']}, {row['source_b']}", **cause}
        for row in rows
        for cause in causes_of(row["days"])
    ]
    columns = ["symbol", "vendors", "rule", "field", "days", "first", "last", "factor", "wrong", "decided_by", "which"]
    print_table("discrepancies by cause (--json lists each day)", causes, columns)
    events = [
        {"symbol": row["symbol"], "vendors": f"{row['source_a']}, {row['source_b']}", **event}
        for row in rows
        for event in row["event_differences"]
    ]
    columns = [
        "symbol",
        "vendors",
        "ex_date",
        "kind",
        "rule",
        "value_a",
        "value_b",
        "other_date",
        "wrong",
        "decided_by",
    ]
    print_table("splits and dividends that differ", events, columns)
