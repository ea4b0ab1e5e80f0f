"""Commands that keep the embedded state in the lake, for machines that do not outlive a run."""

from __future__ import annotations

from pathlib import Path

import typer

from quantx.cli.options import UseLocal, exits, settings_for
from quantx.cli.output import out
from quantx.errors import ConfigError
from quantx.lake.store import LakeLocation, open_location

state = typer.Typer(
    help="Keep the embedded PostgreSQL's state in the lake, for machines that do not outlive a run.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    state.command("load")(exits(load))
    state.command("save")(exits(save))
    app.add_typer(state, name="state")


def load(use_local: UseLocal = False) -> int:
    """Load the state that an earlier run saved in the lake, into a new folder. Without one, the state begins empty.

    Example: quantx state load
    """
    from quantx.pipeline.runtime.saved_state import load_state

    size = load_state(*_places(use_local))
    out.print("no saved state; the state begins empty" if size is None else f"loaded the state: {size:,} bytes")
    return 0


def save(use_local: UseLocal = False) -> int:
    """Save the state in the lake, in place of the one that was loaded; refused if another run has saved since then.

    Example: quantx state save
    """
    from quantx.pipeline.runtime.saved_state import save_state

    out.print(f"saved the state: {save_state(*_places(use_local)):,} bytes")
    return 0


def _places(use_local: bool) -> tuple[LakeLocation, Path]:
    settings = settings_for(use_local)
    if settings.state_url.startswith(("postgresql://", "postgres://")):
        raise ConfigError("QUANTX_STATE_URL is a PostgreSQL of its own, which keeps its state; nothing to load or save")
    folder = Path(settings.state_url.removeprefix("file://")).expanduser().absolute()
    return open_location(settings.lake_url, settings), folder
