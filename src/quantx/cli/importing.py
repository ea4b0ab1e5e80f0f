"""The command import: files that people have become rows of the lake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantx.cli.options import Json, MaxWorkers, UseLocal, exits, traced_settings
from quantx.cli.output import counted, err, out, print_json, print_table, work_progress
from quantx.errors import ConfigError

if TYPE_CHECKING:
    from quantx.pipeline.fetching.landing import Progress
    from quantx.pipeline.importing.importing import Imported, Prepared
    from quantx.pipeline.runtime.platform import Platform

_SHOWN = 10  # reasons why files are refused

# What can be declared about files; in config/imports.yaml under the same names.
Columns = Annotated[
    str | None,
    typer.Option(
        help="The header's names, as in date=Day,close=Last; or the fields of files without a header in their"
        " order, as in date,open,high,low,close,volume (- is not read)."
    ),
]
Basis = Annotated[
    str | None,
    typer.Option(help="as_traded; split_adjusted (with --splits); total_adjusted (for splits and dividends)."),
]
Splits = Annotated[
    str | None,
    typer.Option(
        help="The splits that prices are divided by: a CSV (symbol,date,ratio), a source whose splits the lake"
        " has, as in yahoo, or none."
    ),
]
DateFormat = Annotated[str | None, typer.Option(help="As in %d/%m/%Y, where day and month can't be told.")]
Decimal = Annotated[str | None, typer.Option(help="The mark before decimals: . or ,")]
Separator = Annotated[str | None, typer.Option(help="The separator of cells.")]
Zone = Annotated[str | None, typer.Option(help="Of times without an offset: exchange, UTC, or as in Europe/London.")]
Stamps = Annotated[str | None, typer.Option(help="start or end: what the stamp of a minute is.")]
Timeframe = Annotated[str | None, typer.Option(help="1d or 1m; by default as the steps between rows show.")]
Currency = Annotated[str | None, typer.Option(help="Of the prices, as in USD; GBX for pence.")]
PriceFactor = Annotated[float | None, typer.Option(help="Multiply prices, as by 0.01.")]
VolumeFactor = Annotated[float | None, typer.Option(help="Multiply volumes, as by 1000.")]
Suffix = Annotated[str | None, typer.Option(help="Added to symbols that have none, as in .HK")]
SymbolPattern = Annotated[str | None, typer.Option(help="A regular expression of paths with a group `symbol`.")]
_DECLARED = (
    *("columns", "basis", "splits", "date_format", "decimal", "separator", "zone", "stamps", "timeframe", "currency"),
    *("price_factor", "volume_factor", "suffix", "symbol_pattern"),
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("import")(exits(import_files))


def import_files(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files, folders with all that is below, and ZIP archives.")],
    source: Annotated[str, typer.Option(help="The name of the source in the tables, as in my_files; no vendor's.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the first rows as they are understood, and what the rules say.")
    ] = False,
    columns: Columns = None,
    basis: Basis = None,
    splits: Splits = None,
    date_format: DateFormat = None,
    decimal: Decimal = None,
    separator: Separator = None,
    zone: Zone = None,
    stamps: Stamps = None,
    timeframe: Timeframe = None,
    currency: Currency = None,
    price_factor: PriceFactor = None,
    volume_factor: VolumeFactor = None,
    suffix: Suffix = None,
    symbol_pattern: SymbolPattern = None,
    max_workers: MaxWorkers = None,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Import bars from files: CSV, Parquet, Excel, archives. They are checked, revised and explained as a vendor's.

    The form is recognised, or declared by options or by source in config/imports.yaml. A fact that is open is an error
    with the option that states it, never a guess. Files that were imported before cost nothing, and an interrupted
    import resumes when it is repeated. The exit code is 1 where some files were refused, 2 where none can be imported
    before more is declared.

    Example: quantx import ~/csv --source my_files --basis as_traded --dry-run
    """
    from quantx.pipeline.importing.declared import declared_options
    from quantx.pipeline.importing.importing import prepared
    from quantx.pipeline.runtime.import_sources import checked_source
    from quantx.pipeline.runtime.platform import open_platform

    settings, given = traced_settings(use_local, max_workers=max_workers), {n: context.params[n] for n in _DECLARED}
    source = checked_source(source)
    options, from_splits = declared_options(settings.imports_path, source, given)
    with open_platform(settings) as platform, work_progress(quiet=json) as display:
        bar = display.add_task("reading files", total=None, note="")

        def show(files: int) -> None:
            display.update(bar, completed=files)

        reading = prepared(platform, paths, source, options, from_splits, on_file=show, dry_run=dry_run)
        with reading as (found, reader):
            display.update(bar, visible=False)
            if dry_run:
                return _show(platform, found, reader, json=json)
            return _carry_out(platform, found, reader, paths, given, display, json=json)


def _carry_out(
    platform: Platform,
    found: Prepared,
    reader: Any,
    paths: list[Path],
    given: Mapping[str, Any],
    display: Any,
    *,
    json: bool,
) -> int:
    from quantx.cli.after_work import inspect
    from quantx.cli.data import stops_on_signals
    from quantx.pipeline.importing.importing import carry_out_import, request_of
    from quantx.pipeline.wiring import worker_of

    bar = display.add_task("importing", total=len(found.new), note="")

    def show(progress: Progress) -> None:
        display.update(bar, completed=progress.landed + progress.failed, note=counted(progress.rows, "row"))

    with stops_on_signals(platform.runtime.stop):
        request = request_of(paths, found.source, given)
        done = carry_out_import(platform, found, reader, request, worker_of, on_progress=show)
        if done.tasks:
            display.update(bar, note="running quality checks")
            inspect(platform)
    return _summarize(platform, found, done, json=json)


def _summarize(platform: Platform, found: Prepared, done: Imported, *, json: bool) -> int:
    failures = [row for run_id in done.runs for row in platform.state.runs.failures(run_id)]
    if json:
        print_json({**_facts(found), **vars(done), "failures": failures})
    else:
        out.print(
            f"{counted(found.scan.files, 'file')}: {counted(done.done, 'task')} done, {done.failed:,} failed,"
            f" {found.known:,} parts imported before, {len(found.refused):,} refused,"
            f" {len(found.scan.left_out):,} left out; {counted(done.rows_new, 'new row')},"
            f" {done.rows_changed:,} revised, {done.rows_rejected:,} rejected"
        )
        _print_refused(found)
        for failure in failures[:_SHOWN]:
            err.print(f"  {failure['symbol']}: {failure['error_class']}: {failure['last_error']}")
        if found.basis == "total_adjusted" and done.done:
            out.print(
                "prices that are adjusted for dividends are stored in bars_1d_adjusted, for comparisons of returns:"
                f" `quantx sql` shows them, where source = '{found.source}'"
            )
    if done.unfinished:
        err.print("stopped before the end; run the same command again to resume")
    return _exit_code(found, failed=bool(failures or done.failed or done.unfinished))


def _exit_code(found: Prepared, *, failed: bool) -> int:
    """Return 2 where no file can be imported before more is declared, 1 where some were not imported, else 0."""
    if not found.scan.files and not found.refused:
        raise ConfigError("there is no file of a table (.csv, .txt, .tsv, .parquet, .xlsx, .zip, packed or not)")
    if found.refused and not found.new and not found.known and all(each.undeclared for each in found.refused):
        return 2
    return 1 if failed or found.refused else 0


def _facts(found: Prepared) -> dict[str, Any]:
    return {
        "source": found.source,
        "files": found.scan.files,
        "basis": found.basis,
        "known": found.known,
        "refused": [{"file": each.address, "why": each.why} for each in found.refused],
        "left_out": [{"file": each.address, "why": each.why} for each in found.scan.left_out],
    }


def _print_refused(found: Prepared) -> None:
    """Print the reasons, each with the first of its files."""
    for verb, some in (("refused", found.refused), ("left out", found.scan.left_out)):
        by_reason: dict[str, list[str]] = {}
        for each in some:
            by_reason.setdefault(each.why, []).append(each.address)
        for why, files in list(by_reason.items())[:_SHOWN]:
            more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
            err.print(f"  {verb} {files[0]}{more}: {why}")
        if len(by_reason) > _SHOWN:
            err.print(f"  … and {len(by_reason) - _SHOWN:,} more reasons; --json lists all files")


def _show(platform: Platform, found: Prepared, reader: Any, *, json: bool) -> int:
    """Show what an import would do; nothing is written."""
    from quantx.pipeline.importing.preview import preview

    seen = preview(platform, found, reader)
    if json:
        print_json({**_facts(found), **seen.facts()})
    else:
        print_table("files as they are understood", seen.files)
        print_table("first rows, as traded where they can be" if found.basis != "total_adjusted" else "rows", seen.rows)
        print_table("rules", seen.rules)
        for note in seen.notes:
            err.print(f"  {note}")
        out.print(
            f"{counted(found.scan.files, 'file')}: {counted(len(found.new), 'task')} to do,"
            f" {found.known:,} parts imported before, {len(found.refused):,} refused; nothing was written"
        )
        _print_refused(found)
    return _exit_code(found, failed=False)
