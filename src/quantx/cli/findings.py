"""Commands about findings: list and acknowledge."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from quantx.cli.audited import audited
from quantx.cli.options import Json, Most, UseLocal, exits, settings_for
from quantx.cli.output import out, print_json, print_table
from quantx.pipeline.inspecting.acknowledge import acknowledge
from quantx.pipeline.runtime.platform import open_platform
from quantx.state.audit.login import login_name

findings = typer.Typer(
    help="List the quality findings about data and system, and acknowledge them.", no_args_is_help=True
)

Status = Literal["open", "acknowledged", "resolved"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    findings.command("list")(exits(findings_list))
    findings.command("acknowledge")(exits(findings_acknowledge))
    app.add_typer(findings, name="findings")


def findings_list(
    status: Annotated[Status | None, typer.Option(help="Only findings in this state.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only findings of this rule.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only findings about this symbol, universe, vendor, market or object.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="Maximum number of findings, the worst and newest first.")
    ] = 50,
    most: Most = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """List findings, the worst and newest first.

    Example: quantx findings list --status open
    """
    with open_platform(settings_for(use_local)) as platform:
        rows = platform.state.findings.listed(most or limit, status=status, rule=rule, subject=subject)
    if json:
        print_json(rows)
    else:
        columns = ["id", "severity", "rule", "subject", "source", "first_day", "last_day", "status", "message"]
        print_table("findings", rows, columns)
    return 0


def findings_acknowledge(
    finding: Annotated[int, typer.Argument(help="The finding's id, as `quantx findings list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why the finding needs no action.")],
    by: Annotated[str | None, typer.Option(help="Approver; your login by default.")] = None,
    use_local: UseLocal = False,
) -> int:
    """Acknowledge a finding: it is closed, and stays on record with your reason.

    Example: quantx findings acknowledge 17 --reason "the exchange was closed that day"
    """
    by, about = by or login_name(), f"finding {finding}"
    with (
        open_platform(settings_for(use_local)) as platform,
        audited(platform.state, "findings.acknowledge", about, reason=reason, by=by),
    ):
        acknowledge(platform, [finding], by, reason)
    out.print(f"finding {finding} is acknowledged")
    return 0
