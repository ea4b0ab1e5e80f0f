"""The command that serves the dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from quantx.cli.options import UseLocal, exits, settings_for
from quantx.cli.output import out
from quantx.extras import extra


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("dashboard")(exits(dashboard))


def dashboard(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1.")] = 8780,
    use_local: UseLocal = False,
) -> int:
    """Serve the dashboard on 127.0.0.1 until stopped.

    Example: quantx dashboard --port 8780
    """
    settings = settings_for(use_local)
    with extra("dashboard", "the dashboard"):
        import uvicorn

        from quantx.dashboard.app import create_app
    from quantx.dashboard.context import Dashboard

    out.print(f"http://127.0.0.1:{port}/")
    uvicorn.run(create_app(Dashboard(settings)), host="127.0.0.1", port=port, log_level="error")
    return 0
