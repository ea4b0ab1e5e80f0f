"""The end of the story: what a user does next with a lake that can be trusted, each in a line."""

from __future__ import annotations

from pathlib import Path

from quantx import __version__
from quantx.backup.create import create_backup
from quantx.backup.store import open_backups
from quantx.backup.verify import verify_backup
from quantx.cli.demo.script import Revision
from quantx.cli.output import counted, out
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.wiring import verifier_of
from quantx.reader.explain import Explanation
from quantx.reader.explain.screen import number
from quantx.reader.lake import Lake
from quantx.state.postgres import PostgresState

_QUERY = "select count(*), count(distinct symbol) from bars"


def show_proofs(platform: Platform, folder: Path, revision: Revision) -> None:
    """Explain a value, query by SQL, verify, export and back up the lake, and print the results."""
    lake = Lake(platform.location)
    _explain(lake, revision)
    bars, symbols = lake.sql(_QUERY).row(0)
    answer = f"{bars:,} bars of {counted(symbols, 'symbol')}"
    out.print("[bold]SQL[/bold]", _QUERY, "→", answer)
    found = verifier_of(platform).verify()
    out.print(
        f"[bold]Verified[/bold] {counted(found.objects, 'object')} of the lake by their SHA-256:"
        f" {_damage(len(found.damages))}"
    )
    done = lake.export(folder / "export", "hive-ticker", adjust="split")
    out.print(
        f"[bold]Exported[/bold] {counted(done.symbols, 'symbol')} as {folder / 'export'}/exchange=…/ticker=…/year=…"
    )
    _back_up(platform, folder)


def _explain(lake: Lake, revision: Revision) -> None:
    why = lake.explain(revision.symbol, revision.date, field=revision.field)
    assert isinstance(why, Explanation), "the field is one of a bar"
    out.print(
        f"\n[bold]Explained[/bold] {why.field} of {why.symbol} on {why.day}: {number(why.value)} {why.currency or ''},"
        f" {counted(len(why.revisions), 'earlier value')}, rules passed:"
        f" {sum(each.state in ('passed', 'checked') for each in why.rules.results) if why.rules else 0}"
    )
    if why.reply is not None:
        out.print(f"  reply    {why.reply.path}, row {why.reply.row}, {why.reply.place}", markup=False)


def _back_up(platform: Platform, folder: Path) -> None:
    settings, state = platform.settings, platform.state
    if not isinstance(state, PostgresState):
        return
    store = open_backups(str((folder / "backup").absolute()), settings, create=True)
    made = create_backup(platform.location, state, store, settings=settings.redacted(), files={}, program=__version__)
    checked = verify_backup(store, made.manifest)
    out.print(
        f"[bold]Backed up[/bold] lake and state of one instant to {folder / 'backup'}:"
        f" {counted(made.copied, 'object')}; read back: {_damage(len(checked.damaged))}"
    )


def _damage(number: int) -> str:
    return f"{counted(number, 'object')} damaged" if number else "nothing is damaged"
