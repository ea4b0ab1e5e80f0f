"""The demonstration's filings: a filer of the SEC, and a value that it corrected later."""

from __future__ import annotations

from quantx.cli.after_work import describe_platform_filers
from quantx.cli.output import counted, out
from quantx.pipeline.planning.fundamentals import plan_scope
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.reference.filers import refresh_filer_symbols
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.wiring import worker_of
from quantx.reader.lake import Lake
from quantx.sandbox import Market
from quantx.sandbox.filers import Filer

_COUNTS = "select (select count(*) from filings), (select count(*) from fundamentals_facts)"
_CORRECTED = """
select f.tag, f."end", first(f.value order by f.public_at) as before, last(f.value order by f.public_at) as after,
    first(f.public_at order by f.public_at) as known, max_by(f.form, f.public_at) as form,
    min(f.public_at) filter (f.form = '10-K/A') as corrected
from fundamentals_facts f
where f.tag = 'RevenueFromContractWithCustomerExcludingAssessedTax' and f."end" - f.start > 350
group by f.tag, f."end" having count(distinct f.value) > 1 and corrected is not null
order by f."end" desc limit 1
"""


def show_filings(platform: Platform, market: Market) -> None:
    """Fetch the filings of a filer that corrected a value, and print the value as it was public before and after."""
    corrected = [filer for filer in market.filers.by_cik.values() if "10-K/A" in _forms(filer)]
    if market.kind != "synthetic" or not corrected:
        return
    symbol = corrected[0].submissions[0].document["tickers"][0]
    refresh_filer_symbols(platform, platform.tables, [symbol])
    plan = plan_scope(platform, Scope(symbols=(symbol,)), again=True)
    worker_of(platform).run(task_ids=plan.task_ids)
    describe_platform_filers(platform)
    lake = Lake(platform.location)
    filings, facts = lake.sql(_COUNTS).row(0)
    found = lake.sql(_CORRECTED)
    out.print(
        f"[bold]Fundamentals[/bold] of {symbol} from the SEC's wire: {counted(filings, 'filing')},"
        f" {counted(facts, 'fact')}, each with the time at which it was public"
    )
    for row in found.iter_rows(named=True):
        out.print(
            f"  revenue of the year to {row['end']}: {row['before']:,.0f} from {row['known']:%Y-%m-%d %H:%M} UTC on,"
            f" {row['after']:,.0f} from {row['corrected']:%Y-%m-%d %H:%M} UTC on (10-K/A)"
        )
    out.print()


def _forms(filer: Filer) -> set[str]:
    pages = [each.document["filings"]["recent"] for each in filer.submissions]
    pages += [each.document for downloads in filer.pages.values() for each in downloads]
    return {form for page in pages for form in page["form"]}
