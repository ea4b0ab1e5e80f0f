"""The monthly cost of an installation, from the usage of past runs and a dated table of prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from quantx.core.cost import Line, Price, Update, bill, expected_update, month_of, scaled, total
from quantx.core.foreign_errors import yaml_fact
from quantx.errors import ConfigError
from quantx.pipeline.reporting.usage import measured_runs
from quantx.state.runs.port import RunUsage

SERVER = ("postgres_hour", "postgres_storage")
_HOURS_AROUND = 2  # an update, with the start of the server


@dataclass(frozen=True, kw_only=True)
class PriceTable:
    """The prices, the fixed quantities of an installation, and the measured reference."""

    prices: Mapping[str, Price]
    installation: Mapping[str, float]
    reference: Mapping[str, float]
    read: str  # date of the oldest price
    measured: str  # date of the reference


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The bill of a month, and the origin of its quantities."""

    symbols: int
    updates: int
    source: str
    lines: Sequence[Line]
    stopped: float  # the total if the server ran for two hours around each update
    shared: float  # the total on an existing server
    read: str

    @property
    def total(self) -> float:
        """Return the total."""
        return total(self.lines)

    @property
    def server(self) -> float:
        """Return PostgreSQL's part of the total."""
        return total([line for line in self.lines if line.name in SERVER])


def read_prices(text: str, name: str) -> PriceTable:
    """Read a table of prices; raise ConfigError with the reason if it is invalid."""
    try:
        table = yaml.safe_load(text)
        entries = table["prices"]
        facts = ("what", "unit", "usd", "checked", "free")
        prices = {key: Price(**{f: entry[f] for f in facts if f in entry}) for key, entry in entries.items()}
        reference = dict(table["reference"])
        measured = str(reference.pop("measured"))
        read = min(str(entry["read"]) for entry in entries.values())
        priced = PriceTable(
            prices=prices, installation=table["installation"], reference=reference, read=read, measured=measured
        )
        runs = measured_runs()[1]
        bill(month_of(expected_update(1, reference, runs), 1, None, reference, priced.installation, runs), prices)
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError) as error:
        if isinstance(error, yaml.YAMLError):
            reason = f"it {yaml_fact(error)}"
        elif isinstance(error, KeyError) and error.args:
            reason = f"it has no entry {error.args[0]!r}"
        else:
            reason = "an entry has another form than in the shipped table"
        raise ConfigError(f"{name} is not a valid table of prices: {reason}") from None
    return priced


def estimate(
    table: PriceTable, used: RunUsage, symbols: int | None, updates: int, server_hours: float | None = None
) -> Estimate:
    """Estimate a month from the usage of daily runs, or from the reference if there are none."""
    reference, installation, (counted_on, runs) = table.reference, table.installation, measured_runs()
    if used.runs and used.tasks:
        source = f"measured: {used.runs:,} daily runs with {used.requests:,} requests"
        update = Update(
            tasks=used.tasks / used.runs,
            requests=used.requests / used.runs,
            seconds=used.seconds / used.runs,
            stored=used.size / used.runs * reference["stored_per_reply_byte"],
        )
        update = update if symbols is None else scaled(update, symbols)
    elif symbols is None:
        raise ConfigError("no daily run to estimate from yet; give the number of symbols, as in --symbols 500")
    else:
        source = f"the reference of {table.measured}, its requests counted on {counted_on}"
        update = expected_update(symbols, reference, runs)

    def lines(hours: float | None) -> list[Line]:
        return bill(month_of(update, updates, hours, reference, installation, runs), table.prices)

    rest = [line for line in lines(0) if line.name not in SERVER]
    return Estimate(
        symbols=round(update.tasks),
        updates=updates,
        source=source,
        lines=lines(server_hours),
        stopped=total(lines(_HOURS_AROUND * updates)),
        shared=total(rest),
        read=table.read,
    )


def page(estimated: Estimate) -> str:
    """Return an estimate as text for the terminal."""
    head = ("", "a month", "unit", "free", "price", "USD", "if none free")
    rows: list[tuple[str, ...]] = [head]
    for line in estimated.lines:
        mark = "*" if line.quoted else ""
        amounts = (f"{line.usd:.2f}", f"{line.usd_without_free:.2f}")
        rows.append(
            (line.what, _short(line.quantity), line.unit, _short(line.free), f"{_decimal(line.price)}{mark}", *amounts)
        )
    rows.append(("total", "", "", "", "", f"{estimated.total:.2f}", f"{total(estimated.lines, free=False):.2f}"))
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    text = ["  ".join(_cell(n, c, widths[n]) for n, c in enumerate(row)).rstrip() for row in rows]
    share = estimated.server / estimated.total if estimated.total else 0
    hours = _HOURS_AROUND * estimated.updates
    return "\n".join(
        [
            f"{estimated.symbols:,} symbols, {estimated.updates} updates a month ({estimated.source})",
            "",
            *text,
            "",
            f"PostgreSQL is {estimated.server:.2f} of {estimated.total:.2f} USD ({share:.0%}).",
            f"With its server running {_HOURS_AROUND} hours per update ({hours} a month): {estimated.stopped:.2f} USD.",
            f"With the state on an existing server: {estimated.shared:.2f} USD.",
            f"* quoted by third parties; all prices are of {estimated.read}, in US dollars, East US, without taxes.",
        ]
    )


def as_facts(estimated: Estimate) -> dict[str, Any]:
    """Return an estimate for JSON."""
    kept = {name: value for name, value in vars(estimated).items() if name != "lines"}
    return {
        **kept,
        "total": estimated.total,
        "postgresql": estimated.server,
        "lines": [vars(line) for line in estimated.lines],
    }


def _cell(column: int, text: str, width: int) -> str:
    return text.ljust(width) if column in (0, 2) else text.rjust(width)


def _decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").ljust(4, "0")


def _short(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if value >= 0.01 else f"{value:.4f}"
