"""Commands for set-up and try-out: init, sandbox, demo."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from quantx.cli.demo.run import demo
from quantx.cli.logs import configure_logging
from quantx.cli.options import UseLocal, existing_folder, exits, parse_day, settings_for
from quantx.cli.output import counted, out
from quantx.errors import ConfigError
from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import DECLARATION

_MARKETS = {"files": "from files", "recorded": "recorded replies", "synthetic": "a synthetic market"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("demo")(exits(demo))
    app.command("init")(exits(init))
    app.command("sandbox")(exits(sandbox))


def init(use_local: UseLocal = False) -> int:
    """Create config/universes.yaml and config/settings.yaml where missing, and create the lake and the state.

    Example: quantx init
    """
    for path in (DECLARATION, Path("config/settings.yaml")):
        out.print(f"{'written' if write_template(path) else 'kept   '} {path}")
    with open_platform(settings_for(use_local)) as platform:
        out.print(f"lake    {platform.location.url}")
        out.print(f"state   {platform.state.shown_url}")
    return 0


def write_template(path: Path) -> bool:
    """Write the shipped file of this name where none exists; return whether it was written."""
    if path.exists():
        return False
    text = resources.files("quantx.cli").joinpath("templates", path.name).read_text("utf-8")
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    return True


Drift = Annotated[
    list[str] | None,
    typer.Option(
        help="Changed form of a vendor's replies VENDOR:CHANGE:PATH (add, drop or retype), as in"
        " yahoo:drop:chart.result[].meta.gmtoffset; may be repeated."
    ),
]


def sandbox(
    data: Annotated[
        Path | None, typer.Option(help="A folder of daily files or recorded replies; by default a synthetic market.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 chooses a free one.")] = 8765,
    now: Annotated[
        str | None, typer.Option(help="Freeze the vendors' clock here: a date (its end, UTC) or an instant.")
    ] = None,
    latency: Annotated[float, typer.Option(min=0, help="Delay of each reply in seconds.")] = 0.0,
    quota: Annotated[
        list[str] | None,
        typer.Option(help="Rate limit (429 beyond it): 2/s for each vendor, alpaca:200/min for one; may be repeated."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Injected fault kind=rate, as in 429=0.05 or alpaca:500=0.02; may be repeated."),
    ] = None,
    drift: Drift = None,
    revise: Annotated[
        list[str] | None,
        typer.Option(help="Revised value (as traded), as in AAPL:2016-12-28:close:116.5; may be repeated."),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Required API key vendor=KEY; other keys are refused; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the synthetic market and the faults.")] = 7,
    until: Annotated[
        str | None, typer.Option(help="Last day of the synthetic market's ten years; today by default.")
    ] = None,
) -> int:
    """Run a mock server of the vendors on 127.0.0.1, with data from files or a synthetic market, until stopped.

    Example: quantx sandbox --data FOLDER --port 8765 --now 2016-12-30
    """
    from quantx.sandbox import Sandbox, load_market, serve
    from quantx.settings.vendors import flat_name

    configure_logging()
    last = parse_day(until, "--until") if until else None
    market = load_market(existing_folder(data, "--data"), seed=seed, today=last)
    app = Sandbox(
        market,
        now=now,
        latency=latency,
        quota=quota,
        faults=fault or (),
        drifts=drift or (),
        revisions=revise or (),
        keys=key or (),
        seed=seed,
    )

    def ready(url: str) -> None:
        symbols = counted(len(market.symbols), "symbol")
        out.print(f"{url} serves {', '.join(app.vendors)} for {symbols} ({_MARKETS[market.kind]})")
        for vendor in app.vendors:
            out.print(f"export QUANTX_{flat_name(vendor, 'base_url').upper()}={url}")

    serve(app, port=port, on_ready=ready)
    return 0
