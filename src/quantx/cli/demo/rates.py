"""The demonstration's rates: a yield, and a price in another currency."""

from __future__ import annotations

from datetime import timedelta

from quantx.cli.output import out
from quantx.pipeline.planning.rates import plan_rates
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.wiring import worker_of
from quantx.reader.lake import Lake

_BACK = timedelta(days=30)
_FOREIGN = """
select symbol, date from bars_1d where currency not in ('USD', 'EUR') and currency is not null
order by date desc, symbol limit 1
"""


def show_rates(platform: Platform) -> None:
    """Fetch the published rates of the last month, and print the newest yield and a price in dollars."""
    start = platform.clock.now().date() - _BACK
    worker_of(platform).run(task_ids=plan_rates(platform, start=start).task_ids)
    lake = Lake(platform.location)
    newest = lake.rates("UST", "10y").row(-1, named=True)
    out.print(
        f"[bold]Rates[/bold] of the US Treasury and the ECB, without a key: 10 years {newest['10y']:.2f} % on"
        f" {newest['date']}, public at {newest['public_at']:%H:%M} UTC"
    )
    for symbol, day in lake.sql(_FOREIGN).rows():
        quoted = lake.bars(symbol, day, day, columns=["close", "currency"]).row(0)
        in_usd = lake.bars(symbol, day, day, currency="USD").row(0, named=True)
        if in_usd["close"] is not None:
            out.print(
                f"  {symbol} closed at {quoted[0]:,.2f} {quoted[1]} on {day}: {in_usd['close']:,.4f} USD, by the rate"
                f" {in_usd['fx_rate']:.6f} of {in_usd['fx_date']} ({in_usd['fx_source']})"
            )
    out.print()
