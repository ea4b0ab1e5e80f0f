"""The command that serves the dashboard."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from quantx.cli.options import UseLocal, exits, settings_for
from quantx.cli.output import out
from quantx.errors import ConfigError
from quantx.extras import extra

if TYPE_CHECKING:
    from quantx.dashboard.sign_in import WebSignIn
    from quantx.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("dashboard")(exits(dashboard))


def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8780,
    use_local: UseLocal = False,
) -> int:
    """Serve the dashboard on 127.0.0.1 until stopped. Open the address that it prints: it has the token.

    Example: quantx dashboard --port 8780
    """
    settings = settings_for(use_local)
    with extra("dashboard", "the dashboard"):
        import uvicorn

        from quantx.dashboard.app import create_app
    from quantx.dashboard.context import Dashboard

    host, sign_in, address = _entrance(settings, port)
    app = create_app(Dashboard(settings), sign_in)
    config = uvicorn.Config(app, log_level="error", server_header=False, proxy_headers=False, ws="none")
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # its lines repeat what the pages show
    with listening(host, port) as listener:
        out.print(address, markup=False, soft_wrap=True)
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; ConfigError where the port is taken, or belongs to the system."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise ConfigError(f"port {port} can't be used: {error.strerror}; choose another with --port") from None


def _entrance(settings: Settings, port: int) -> tuple[str, WebSignIn, str]:
    """Return the host to listen on, the sign-in, and the address to open."""
    from quantx.dashboard.app import easy_auth_of
    from quantx.dashboard.sign_in import TokenSignIn

    if settings.dashboard_sign_in == "easy_auth":
        in_azure = easy_auth_of(settings)
        return "0.0.0.0", in_azure, f"{in_azure.site.origins[0]}/"  # noqa: S104 — behind the sign-in of Azure
    token = settings.dashboard_token
    sign_in = TokenSignIn(port, None if token is None else token.get_secret_value() or None)
    return "127.0.0.1", sign_in, f"http://127.0.0.1:{port}/?token={sign_in.token}"
