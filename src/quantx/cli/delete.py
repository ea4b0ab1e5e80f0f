"""The command that deletes a vendor's data for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

import typer
from ulid import ULID

from quantx.cli.options import Json, Symbols, Universe, UseLocal, exits, parse_day, settings_for, split_symbols
from quantx.cli.output import counted, err, out, print_json, print_table, work_progress
from quantx.core.option_tables import RAW_MEMBERS
from quantx.core.tombstones import PRICES, Tombstone
from quantx.errors import Busy, ConfigError
from quantx.lake.tombstones import find_tombstone, lift_tombstone, pending_of, read_tombstones
from quantx.pipeline.runtime.platform import Platform, open_platform
from quantx.settings import source_of
from quantx.state.audit.login import login_name

_GRANT = "deploy/grant.sh gives the right to delete raw objects for some hours (docs/how-to/delete-for-good.md)"


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("delete")(exits(delete))


def delete(
    source: Annotated[str | None, typer.Option(help="The vendor whose data is deleted.")] = None,
    symbols: Symbols = None,
    universe: Universe = None,
    before: Annotated[str | None, typer.Option(help="Delete only the sessions before this day.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="bars (with splits and dividends), fundamentals, esg, …; by default everything."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it stays on record.")] = None,
    by: Annotated[str | None, typer.Option(help="Who decides; your login by default.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete. Without it the command only shows what would go.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the deletions, and what is left to remove.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="End the deletions that are not complete.")] = False,
    lift: Annotated[
        str | None, typer.Option(help="Lift this tombstone: the data may be fetched again; the old bytes are gone.")
    ] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Delete a vendor's data for good, everywhere: tables, revisions, quarantine, files, raw replies, state, cache.

    Without --yes it only shows what would go, and until when a retention policy keeps raw objects. Deleted data is not
    fetched, derived or restored again until its tombstone is lifted. An interrupted deletion is ended by --resume or
    the next sweep. The exit code is 1 while something is left to remove.

    Example: quantx delete --source fmp --symbols AAPL,MSFT --reason "the licence ended"
    """
    if sum((list_, resume, lift is not None, source is not None)) != 1:
        raise ConfigError("give one of --source VENDOR, --list, --resume or --lift ID")
    if (source is not None or lift is not None) and not (reason or "").strip():
        raise ConfigError('--reason "…" is missing; it stays on record')
    with open_platform(settings_for(use_local)) as platform:
        if list_:
            return _list(platform, json=json)
        if resume:
            return _resume(platform, json=json)
        if lift is not None:
            return _lift(platform, lift, by or login_name(), str(reason), json=json)
        assert source is not None
        stone = _tombstone(
            platform,
            source_of(source),
            _requested(platform, symbols, universe),
            parse_day(before, "--before") if before else None,
            dataset,
            by or login_name(),
            str(reason),
        )
        return _delete(platform, stone, json=json) if yes else _show(platform, stone, json=json)


def _requested(platform: Platform, symbols: str | None, universe: str | None) -> tuple[str, ...] | None:
    """Return the requested symbols; None: all of the vendor."""
    from quantx.pipeline.planning.scope import Scope, resolve_symbols

    if symbols is not None and universe is not None:
        raise ConfigError("--symbols and --universe exclude each other; give one")
    if universe is not None:
        return resolve_symbols(platform, Scope(universe=universe), since=date.min)
    return None if symbols is None else split_symbols(symbols)


def _tombstone(
    platform: Platform,
    source: str,
    requested: Sequence[str] | None,
    before: date | None,
    dataset: str | None,
    by: str,
    reason: str,
) -> Tombstone:
    from quantx.core.fact_datasets import DATASETS
    from quantx.pipeline.deleting.scope import deleted_symbols
    from quantx.providers.registry import VENDORS

    if dataset is not None and dataset not in (PRICES, *DATASETS):
        raise ConfigError(f"--dataset {dataset!a} must be one of {', '.join((PRICES, *DATASETS))}")
    if source not in VENDORS and not _was_imported(platform, source):
        raise ConfigError(f"--source {source!a} is no vendor here; the vendors are {', '.join(VENDORS)}")
    return Tombstone(
        id=str(ULID()),
        source=source,
        at=platform.clock.now(),
        by=by,
        reason=reason,
        symbols=None if requested is None else deleted_symbols(platform.tables, requested),
        requested=tuple(requested or ()),
        dataset=dataset,
        before=before,
        facts=dataset != PRICES and source in VENDORS and _reports_facts(VENDORS[source].capabilities.datasets),
    )


def _was_imported(platform: Platform, source: str) -> bool:
    """Return whether the lake has, had or waits for files of a source that is no vendor."""
    location = platform.location
    return any(location.paths(f"{place}{source}") for place in ("raw/source=", "inbox/")) or any(
        stone.source == source for stone in read_tombstones(location)
    )


def _reports_facts(datasets: Sequence[str]) -> bool:
    from quantx.core.fact_datasets import DATASETS

    return not DATASETS.keys().isdisjoint(datasets)


def _show(platform: Platform, stone: Tombstone, *, json: bool) -> int:
    """Print what would be deleted."""
    from quantx.backup.places import backups_with
    from quantx.pipeline.deleting.survey import survey
    from quantx.pipeline.wiring import deleter_of

    deleter = deleter_of(platform)
    found = survey(
        stone,
        location=platform.location,
        tables=platform.tables,
        raw=deleter.raw,
        deletions=platform.state.deletions,
        settings=platform.settings,
        now=platform.clock.now(),
    )
    backups = backups_with(platform.location, stone, platform.settings)
    if json:
        print_json({"dry_run": True, **found.as_json(), "backups": [asdict(each) for each in backups]})
        return 0
    out.print(f"would delete {stone.describe().rpartition('; ')[0]})", markup=False)
    if stone.symbols is not None:
        out.print(f"stored symbols: {', '.join(found.symbols or ())}", markup=False)
    print_table("rows", [{"table": name, "rows": rows} for name, rows in found.tables.items()])
    print_table("rows of the state", [{"table": name, "rows": rows} for name, rows in found.state.items()])
    out.print(
        f"raw: {counted(found.replies, 'reply', 'replies')} in {counted(found.raw_objects, 'object')},"
        f" {found.raw_bytes / 1e6:,.3f} MB; {counted(found.rewritten, 'object')} written again without them"
    )
    if found.archived:
        out.print(f"{counted(found.archived, 'object')} of them with members of option archives, each as a whole")
    if found.inbox:
        out.print(f"inbox: {counted(found.inbox, 'file')} that wait to be imported")
    if found.retained:
        out.print(
            f"{counted(found.retained, 'raw object')} can be removed only after the retention policy:"
            f" the last one on {found.retained_until:%Y-%m-%d}"
        )
    if found.shared:
        out.print(
            f"replies about {', '.join(found.shared)} are on the same pages, or in members of archives, and go,"
            " too: their rows stay, and can't be derived again",
            markup=False,
        )
    if found.underivable:
        out.print(
            f"{counted(found.underivable, 'reply', 'replies')} also with days since {stone.before} go as a whole: rows"
            " since then stay, and can't be derived again"
        )
    if found.snapshots:
        out.print(f"snapshots that lose the rows: {', '.join(found.snapshots)}", markup=False)
    _print_out_of_reach([asdict(each) for each in backups])
    out.print("nothing is deleted yet: repeat the command with --yes")
    return 0


def _print_out_of_reach(backups: Sequence[Mapping[str, Any]]) -> None:
    for each in backups:
        if each["problem"]:
            out.print(f"backups in {each['url']} can't be read: {each['problem']}", markup=False)
        elif each["backups"]:
            out.print(
                f"backups in {each['url']} keep it until they are deleted: {', '.join(each['backups'])}"
                f" (`quantx backup create {each['url']} --keep 1` deletes older ones)",
                markup=False,
            )
    out.print(
        "out of reach: copies in backups elsewhere, exports, caches of other machines (`quantx cache clear`), and what"
        " the database and the store keep of deleted rows and objects (soft delete, versions, backups of the server)"
    )


def _delete(platform: Platform, stone: Tombstone, *, json: bool) -> int:
    from quantx.backup.places import backups_with

    with _deleter(platform, quiet=json) as deleter:
        done = deleter.delete(stone).as_json()
    _clear_cache(platform)
    backups = [asdict(each) for each in backups_with(platform.location, stone, platform.settings)]
    if json:
        print_json(done | {"backups": backups})
        return 0 if done["complete"] else 1
    _print_done(done)
    _print_out_of_reach(backups)
    return 0 if done["complete"] else 1


def _resume(platform: Platform, *, json: bool) -> int:
    with _deleter(platform, quiet=json) as deleter:
        done = [each.as_json() for each in deleter.resume()]
    if done:
        _clear_cache(platform)
    if json:
        print_json(done)
    elif not done:
        out.print("every deletion is complete")
    else:
        for each in done:
            _print_done(each)
    return 0 if all(each["complete"] for each in done) else 1


@contextmanager
def _deleter(platform: Platform, *, quiet: bool) -> Iterator[Any]:
    from quantx.backup.places import leave_tombstone
    from quantx.pipeline.wiring import deleter_of

    def leave(stone: Tombstone) -> None:
        leave_tombstone(platform.location, stone, platform.settings)

    with work_progress(quiet=quiet) as display:
        bar = display.add_task("deleting", total=None, note="")

        def show(step: str, done: int, total: int | None) -> None:
            display.update(bar, description=step, completed=done, total=total)

        try:
            yield deleter_of(platform, on_step=show, on_written=leave)
        except Busy as error:
            raise ConfigError(str(error)) from error


def _print_done(done: Mapping[str, Any]) -> None:
    rows = sum(done["rows"].values())
    out.print(
        f"tombstone {done['id']}: {counted(rows, 'row')} of {counted(len(done['rows']), 'table')},"
        f" {counted(done['files'], 'replaced file')}, {counted(done['raw_removed'], 'raw object')}"
        f" ({done['raw_bytes'] / 1e6:,.3f} MB) deleted; {counted(done['raw_replaced'], 'raw object')} written again"
    )
    if done["snapshots"]:
        out.print(f"snapshots that lost rows: {', '.join(done['snapshots'])}", markup=False)
    for path, left in done["pending"].items():
        until = f"until {left['until']:%Y-%m-%d}" if left["until"] else "until its store allows it"
        err.print(f"{path} stays {until}: {left['why']}")
    if done["pending"]:
        err.print(f"`quantx delete --resume` and each sweep try again; {_GRANT}")
    if done["again_after"]:
        err.print(
            f"a worker may store a reply until {done['again_after']:%Y-%m-%d %H:%M:%S} UTC;"
            " `quantx delete --resume` or the sweep after that removes it"
        )


def _lift(platform: Platform, stone_id: str, by: str, reason: str, *, json: bool) -> int:
    stone = find_tombstone(platform.location, stone_id)
    if stone.lifted:
        raise ConfigError(f"the tombstone {stone_id} is lifted already")
    lift_tombstone(platform.location, stone, by=by, reason=reason, at=platform.clock.now())
    archived = stone.has_dataset(RAW_MEMBERS) and platform.state.option_members.reopen(stone.source)
    again = (
        "`quantx options import` of its archives brings it again" if archived else "`quantx backfill` fetches it again"
    )
    text = f"lifted: {stone.describe()}; {again}"
    print_json({"lifted": stone.id}) if json else out.print(text, markup=False)
    return 0


def _list(platform: Platform, *, json: bool) -> int:
    stones = read_tombstones(platform.location)
    rows = [
        {
            **stone.as_json(),
            "symbols": ", ".join(stone.requested) if stone.requested else "all",
            "state": "lifted" if stone.lifted else "complete" if stone.done else "not complete",
            "pending": len(pending_of(platform.location, stone)) if not (stone.done or stone.lifted) else 0,
        }
        for stone in stones
    ]
    columns = ["id", "source", "symbols", "dataset", "before", "state", "pending", "at", "by", "reason"]
    print_json(rows) if json else print_table("deletions", rows, columns)
    return 0


def _clear_cache(platform: Platform) -> None:
    """Remove this machine's decoded copies of the lake's files."""
    from quantx.reader.cache.folder import folder_of_settings

    folder_of_settings(platform.settings).clear()
