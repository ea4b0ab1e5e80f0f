"""Commands about alerts: list, send, test."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from quantx.cli.options import Json, UseLocal, exits, settings_for
from quantx.cli.output import counted, err, out, print_json, print_table
from quantx.errors import ConfigError

alerts = typer.Typer(
    help="List what is wrong, send the messages about it, and test the channels.", no_args_is_help=True
)

ChannelName = Literal["webhook", "slack", "teams", "email"]
_OVER = 20  # alerts that are over


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (list_, send):
        alerts.command(command.__name__.removesuffix("_"))(exits(command))
    alerts.command("test")(exits(try_channels))
    app.add_typer(alerts, name="alerts")


def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of messages, the newest first.")] = 20,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """List what is wrong and since when, what is over, and the messages of each channel with their errors.

    Example: quantx alerts list
    """
    from quantx.alerts.view import alert_rows
    from quantx.pipeline.runtime.context import open_context

    with open_context(settings_for(use_local)) as context:
        rows = alert_rows(context.state.alerts.listed())
        deliveries = context.state.alerts.deliveries(limit)
    if json:
        print_json({"alerts": rows, "deliveries": deliveries})
        return 0
    now, over = [r for r in rows if r["present"]], [r for r in rows if not r["present"]]
    columns = ["severity", "rule", "subject", "since", "message", "next_step"]
    print_table("alerts", now, columns)
    if over:
        print_table("over", over[:_OVER], ["rule", "subject", "since", "until"])
    if deliveries:
        print_table("messages", deliveries, ["changed_at", "channel", "state", "attempts", "title", "last_error"])
    return 0


def send(
    wait: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds in which a message that was not accepted is sent again.")
    ] = 60,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Check all conditions now, and send the messages about what began and ended.

    Workers and sweeps do the same at their end. Messages that were not accepted are sent again later. The exit code is
    1 if a message was not accepted.

    Example: quantx alerts send --wait 60
    """
    from quantx.alerts.run import check_and_send
    from quantx.pipeline.runtime.context import open_context

    settings = settings_for(use_local)
    with open_context(settings) as context:
        done = check_and_send(context, seconds=wait)
        waiting = sum(len(context.state.alerts.waiting(name, 1000)) for name in settings.alert_channels())
    facts = {
        "alerts": len(done.alerts),
        "messages": [message.title for message in done.messages],
        "sent": done.sent and done.sent.sent,
        "waiting": waiting,
        "dead": done.sent and done.sent.dead,
    }
    if json:
        print_json(facts)
    else:
        channels = ", ".join(settings.alert_channels())
        out.print(
            f"{counted(len(done.alerts), 'alert')}; channels: {channels or 'none (see docs/how-to/send-alerts.md)'}"
        )
        for message in done.messages:
            out.print(message.title, markup=False)
        if done.sent is None:
            out.print("another process is sending")
        elif channels:
            out.print(f"sent {counted(done.sent.sent, 'message')}; {waiting:,} waiting")
        if waiting or (done.sent and done.sent.dead):
            err.print("not every message was accepted; `quantx alerts list` shows why")
    return 1 if waiting or (done.sent is not None and done.sent.dead) else 0


def try_channels(
    channel: Annotated[ChannelName | None, typer.Option(help="Only this channel; by default all.")] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Send a test message through each channel of the settings. The exit code is 1 if one did not accept it.

    Example: quantx alerts test
    """
    from quantx.alerts.channels.open import open_channels
    from quantx.alerts.run import test_channels

    channels = open_channels(settings_for(use_local))
    chosen = {name: each for name, each in channels.items() if channel in (None, name)}
    if not chosen:
        missing = f"the channel {channel} is not configured" if channel else "no channel is configured"
        raise ConfigError(f"{missing}; set QUANTX_ALERTS_SLACK_URL or another address: docs/how-to/send-alerts.md")
    results = test_channels(chosen, datetime.now(UTC))
    if json:
        print_json({name: {"accepted": error is None, "error": error} for name, error in results.items()})
    else:
        for name, error in results.items():
            out.print(f"{name}: {'accepted' if error is None else error}", markup=False)
    return 1 if any(error is not None for error in results.values()) else 0
