"""The command that explains a value of the lake."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from quantx.cli.options import AsOf, Json, PublicBy, UseLocal, exits, reading_settings
from quantx.cli.output import err, incomplete_data_reported, out, print_json
from quantx.errors import ConfigError

if TYPE_CHECKING:
    from quantx.reader.explain import Explanation
    from quantx.reader.explain.feature_value import FeatureValue
    from quantx.reader.explain.filed_value import FiledValue
    from quantx.reader.explain.option_value import OptionValue
    from quantx.reader.explain.rate_value import RateValue


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("explain")(exits(explain))


def explain(
    symbol: Annotated[
        str,
        typer.Argument(
            help="A symbol, as in AAPL, BRK.B or 0700.HK, or a contract of options, as in SPY250808C00630000."
        ),
    ],
    day: Annotated[str, typer.Argument(help="The session, as in 2024-06-10; of a concept the last day of its period.")],
    field: Annotated[
        str,
        typer.Option(
            "--field",
            "--concept",
            help="open, high, low, close or volume; a concept, as in revenue_annual; a tag, as in us-gaap:Assets;"
            " a rate, as in rates:10y of UST, or fx_rates:USD of EUR; a feature, as in technical.rsi_14.",
        ),
    ] = "close",
    time: Annotated[
        str | None, typer.Option(help="Explain a minute: HH:MM in the exchange's zone, or an instant with its offset.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Only this vendor; by default the one that queries show.")] = None,
    universe: Annotated[str | None, typer.Option(help="Of a feature that compares its members.")] = None,
    as_of: AsOf = None,
    public_by: PublicBy = None,
    raw: Annotated[
        Path | None, typer.Option(help="Write the vendor's reply into this new file, exactly as it was sent.")
    ] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Explain a value: its vendor's reply, rules, rejected rows, revisions, other vendors and adjustment.

    Of a session without a bar, it explains why there is none; the exit code is 1. A concept is explained by the facts
    it is made of, their filings and their places in the replies, a feature by its formula, inputs and rows, a quote of
    an option (--field bid --time 10:31) by the archive that brought it. No database is needed.

    Example: quantx explain AAPL 2024-06-10 --field close --raw reply.json
    """
    from quantx.reader.lake import lake_of

    lake = lake_of(reading_settings(use_local))
    with incomplete_data_reported():
        explanation: Explanation | FiledValue | RateValue | OptionValue | FeatureValue
        if "." in field and ":" not in field:
            explanation = lake.explain_feature(symbol, day, field, universe=universe, as_of=as_of, public_by=public_by)
        else:
            given = {"time": time, "source": source, "as_of": as_of, "public_by": public_by}
            explanation = lake.explain(symbol, day, field=field, **given)
    print_json(explanation.as_facts()) if json else _print(explanation)
    if raw is not None:
        _write_reply(explanation, raw)
    return 0 if explanation.row is not None else 1


def _print(explanation: Explanation | FiledValue | RateValue | OptionValue | FeatureValue) -> None:
    out.print(Text(explanation.headline(), "bold"))
    for section in explanation.sections():
        out.print(Text(section.title, "cyan"))
        for line in section.lines:
            out.print(Text(f"  {line}"))


def _write_reply(explanation: Explanation | FiledValue | RateValue | OptionValue | FeatureValue, file: Path) -> None:
    reply = explanation.reply
    if reply is None or reply.body is None:
        why = "there is no value" if reply is None else reply.problem
        raise ConfigError(f"{file} was not written: {why}")
    try:
        with file.open("xb") as stream:
            stream.write(reply.body)
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror or error}") from error
    err.print(f"{len(reply.body):,} bytes with SHA-256 {reply.sha256} written to {file}")
