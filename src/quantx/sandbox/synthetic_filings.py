"""Invented filings of the synthetic market's American companies: three 10-Qs and a 10-K a year.

An 8-K with the results comes before each, and an insider's form 4 on the evening after.

The statements are consistent: assets are liabilities and equity, gross profit is revenue less cost, a year is its four
quarters. As at the SEC, a 10-Q has the quarter and the year to date, a 10-K the year alone, each with the year before;
shares and earnings per share before a split are restated by it in later filings. One company corrects its revenue of a
year by a 10-K/A, and the next 10-K repeats the corrected one.

The acceptance times of every third company are New York's, of the next one UTC, and of the third one UTC but for the
newest rows: as in downloads from the SEC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np

from quantx.sandbox.filers import NEW_YORK, Document, Download, Filer
from quantx.sandbox.market import PriceHistory

FIRST_CIK = 9_000_000_001  # no CIK of a real filer is as large
_YEARS, _LONG_AGO = 8, date(1970, 1, 1)
_SIC = (
    ("3571", "Electronic Computers"),
    ("4011", "Railroads, Line-Haul Operating"),
    ("6022", "State Commercial Banks"),
)
_OLD_ROWS = 30  # of every second filer are on an older page
_NEW_ROWS = 4  # of every third filer have New York's clock
_RESTATED = 2  # the company that corrects its revenue
_CORRECTION = 5_000_000  # dollars
_DAYS_TO_FILE = {"10-Q": 36, "10-K": 52}

# Tags of durations and of instants with the names of their values.
_FLOWS = {
    "RevenueFromContractWithCustomerExcludingAssessedTax": "revenue",
    "CostOfRevenue": "cost",
    "GrossProfit": "gross",
    "OperatingExpenses": "expenses",
    "OperatingIncomeLoss": "operating",
    "IncomeTaxExpenseBenefit": "tax",
    "NetIncomeLoss": "net",
    "NetCashProvidedByUsedInOperatingActivities": "cash_flow",
    "PaymentsToAcquirePropertyPlantAndEquipment": "capex",
}
_BALANCES = {
    "Assets": "assets",
    "AssetsCurrent": "current_assets",
    "AssetsNoncurrent": "noncurrent_assets",
    "CashAndCashEquivalentsAtCarryingValue": "cash",
    "Liabilities": "liabilities",
    "LiabilitiesCurrent": "current_liabilities",
    "LiabilitiesNoncurrent": "noncurrent_liabilities",
    "StockholdersEquity": "equity",
    "LiabilitiesAndStockholdersEquity": "assets",
}


@dataclass(frozen=True)
class _Quarter:
    """One quarter: its days, its flows and the balances at its end, in dollars."""

    start: date
    end: date
    fiscal_year: int
    number: int  # 1 to 4
    values: Mapping[str, int]


@dataclass(frozen=True)
class _Filing:
    """One filing, and the last quarter that it is about."""

    form: str
    accession: str
    quarter: _Quarter
    accepted: datetime  # UTC
    items: str = ""

    @property
    def filed(self) -> date:
        """Return the day of filing: that of acceptance, or the next weekday after 17:30 in New York."""
        local = self.accepted.astimezone(NEW_YORK)
        same_day = self.form == "4" or local.time() <= time(17, 30)
        return local.date() if same_day else _weekday(local.date() + timedelta(days=1))


def synthetic_filers(seed: int, histories: Mapping[str, PriceHistory], last: date) -> dict[int, Filer]:
    """Return the filers of the American companies by CIK, with filings up to a day."""
    past = [each for each in histories.values() if each.venue.market == "us" and each.until is None]
    return {FIRST_CIK + n: _filer(seed, n, each, last) for n, each in enumerate(past)}


def _filer(seed: int, number: int, past: PriceHistory, last: date) -> Filer:
    cik, random = FIRST_CIK + number, np.random.default_rng([seed, 7_000 + number])
    quarters = _quarters(random, last)
    filings = list(_filings(cik, random, quarters, last, restates=number == _RESTATED))
    newest_first = sorted(filings, key=lambda each: each.accepted, reverse=True)
    rows = [_row(each, _sent(each.accepted, place, number)) for place, each in enumerate(newest_first)]
    recent, older = (rows[:-_OLD_ROWS], rows[-_OLD_ROWS:]) if number % 2 else (rows, [])
    page = f"CIK{cik:010}-submissions-001.json"
    files = [{"name": page, "filingCount": len(older), "filingFrom": older[-1]["filingDate"]}] if older else []
    sic, industry = _SIC[number % len(_SIC)]
    submissions = {
        "cik": f"{cik:010}",
        "entityType": "operating",
        "sic": sic,
        "sicDescription": industry,
        "name": past.name.upper(),
        "tickers": [past.symbol.replace(".", "-")],
        "exchanges": ["NYSE"],
        "fiscalYearEnd": "1231",
        "formerNames": [],
        "filings": {"recent": _columns(recent), "files": files},
    }
    facts = {"cik": cik, "entityName": past.name, "facts": _facts(past, quarters, filings)}
    return Filer(
        cik,
        submissions=[Download(_LONG_AGO, submissions)],
        facts=[Download(_LONG_AGO, facts)],
        pages={page: [Download(_LONG_AGO, _columns(older))]} if older else {},
        accepted={each.accession: each.accepted for each in filings},
    )


def _quarters(random: np.random.Generator, last: date) -> list[_Quarter]:
    """Return the quarters of some years; revenue grows, and is larger at the end of a year."""
    quarters, revenue, assets = list[_Quarter](), float(random.uniform(2e8, 2e9)), float(random.uniform(1e9, 9e9))
    for year in range(last.year - _YEARS, last.year + 1):
        for number in range(1, 5):
            start = date(year, 3 * number - 2, 1)
            end = (start + timedelta(days=95)).replace(day=1) - timedelta(days=1)
            if end >= last:
                return quarters
            revenue *= float(random.normal(1.02, 0.04))
            season = 1.2 if number == 4 else 0.95
            values = _values(random, revenue * season, assets)
            assets += values["net"] * 0.6
            quarters.append(_Quarter(start, end, year, number, values))
    return quarters


def _values(random: np.random.Generator, revenue: float, assets: float) -> dict[str, int]:
    """Return the values of a quarter in whole thousands, so that sums agree exactly."""

    def whole(value: float) -> int:
        return round(value / 1000) * 1000

    sold, total = whole(revenue), whole(assets)
    cost, expenses = whole(sold * random.uniform(0.5, 0.65)), whole(sold * random.uniform(0.2, 0.3))
    operating = sold - cost - expenses
    tax, current = whole(max(0, operating) * 0.21), whole(total * random.uniform(0.35, 0.45))
    owed, due = whole(total * random.uniform(0.5, 0.6)), whole(total * random.uniform(0.15, 0.25))
    flows = {"revenue": sold, "cost": cost, "gross": sold - cost, "expenses": expenses, "operating": operating}
    return {
        **flows,
        "tax": tax,
        "net": operating - tax,
        "cash_flow": whole((operating - tax) * random.uniform(1.0, 1.4)),
        "capex": whole(sold * random.uniform(0.03, 0.08)),
        "assets": total,
        "current_assets": current,
        "noncurrent_assets": total - current,
        "cash": whole(current * random.uniform(0.2, 0.5)),
        "liabilities": owed,
        "current_liabilities": due,
        "noncurrent_liabilities": owed - due,
        "equity": total - owed,
    }


def _filings(
    cik: int, random: np.random.Generator, quarters: Sequence[_Quarter], last: date, *, restates: bool
) -> Iterator[_Filing]:
    """Yield the filings: an 8-K with the results, the report, a form 4; once a corrected report."""
    for place, quarter in enumerate(quarters):
        form = "10-K" if quarter.number == 4 else "10-Q"
        day = _weekday(quarter.end + timedelta(days=_DAYS_TO_FILE[form] + int(random.integers(0, 4))))
        minutes = int(random.integers(3, 44))
        before_open = bool(random.integers(0, 2))
        hour = 6 if before_open else 16
        made = (("8-K", -3, hour, "2.02,9.01"), (form, 0, hour, ""), ("4", 1, 20, ""))
        for number, (kind, days, at, items) in enumerate(made):
            on = _weekday(day + timedelta(days=days))
            local = datetime.combine(on, time(at, minutes, 7 * number), NEW_YORK)
            accession = f"{cik}-{on:%y}-{3 * place + number + 1:06}"
            if on <= last:
                yield _Filing(kind, accession, quarter, local.astimezone(UTC), items)
        if restates and form == "10-K" and place > len(quarters) // 2:
            restates, on = False, _weekday(day + timedelta(days=60))
            local = datetime.combine(on, time(17, 5), NEW_YORK)
            if on <= last:
                yield _Filing("10-K/A", f"{cik}-{on:%y}-900001", quarter, local.astimezone(UTC))


def _facts(past: PriceHistory, quarters: Sequence[_Quarter], filings: Sequence[_Filing]) -> Document:
    """Return the facts of all filings by taxonomy, tag and unit."""
    facts: Document = {"dei": {}, "us-gaap": {}}
    for filing in filings:
        if filing.form in ("8-K", "4"):
            continue
        at = quarters.index(filing.quarter)
        for shown in (at, at - 4):  # the period, and the same one a year before
            if shown - (filing.quarter.number - 1) >= 0:
                corrected = any(
                    each.form == "10-K/A" and each.quarter is quarters[shown] and each.accepted <= filing.accepted
                    for each in filings
                )
                _add_flows(facts["us-gaap"], past, quarters, shown, filing, corrected=corrected)
        for shown in (at, at - filing.quarter.number):  # the end of the period, and of the year before
            if shown >= 0:
                for tag, name in _BALANCES.items():
                    _add(facts["us-gaap"], tag, "USD", filing, quarters[shown].values[name], end=quarters[shown].end)
        shares = _shares(past, filing.filed)
        _add(facts["dei"], "EntityCommonStockSharesOutstanding", "shares", filing, shares, end=filing.filed)
    return facts


def _add_flows(
    tags: Document,
    past: PriceHistory,
    quarters: Sequence[_Quarter],
    at: int,
    filing: _Filing,
    *,
    corrected: bool,
) -> None:
    """Add the flows up to a quarter: of the quarter (in a 10-Q) and of the year to date."""
    number = quarters[at].number
    lengths = {number} if filing.form != "10-Q" else {1, number}
    for length in sorted(lengths):
        some = quarters[at - length + 1 : at + 1]
        period = {"start": some[0].start, "end": some[-1].end}
        for tag, name in _FLOWS.items():
            value = sum(quarter.values[name] for quarter in some)
            if corrected and length == 4 and name in ("revenue", "gross", "operating", "net"):
                value -= _CORRECTION
            _add(tags, tag, "USD", filing, value, **period)
        shares = _shares(past, filing.filed)
        net = tags["NetIncomeLoss"]["units"]["USD"][-1]["val"]
        for suffix, count in (("Basic", shares), ("Diluted", round(shares * 1.02))):
            _add(tags, f"EarningsPerShare{suffix}", "USD/shares", filing, round(net / count, 2), **period)
            name = "NumberOfSharesOutstandingBasic" if suffix == "Basic" else "NumberOfDilutedSharesOutstanding"
            _add(tags, f"WeightedAverage{name}", "shares", filing, count, **period)


def _shares(past: PriceHistory, day: date) -> int:
    """Return the number of shares: fifty million, times the splits up to a day."""
    count = 50_000_000.0
    for split in past.splits:
        count *= split.ratio if split.date <= day else 1.0
    return round(count)


def _add(
    tags: Document, tag: str, unit: str, filing: _Filing, value: float, *, end: date, start: date | None = None
) -> None:
    about = tags.setdefault(tag, {"label": tag, "description": f"Synthetic {tag}", "units": {}})
    fiscal = "FY" if filing.quarter.number == 4 else f"Q{filing.quarter.number}"
    about["units"].setdefault(unit, []).append(
        {
            **({} if start is None else {"start": str(start)}),
            "end": str(end),
            "val": value,
            "accn": filing.accession,
            "fy": filing.quarter.fiscal_year,
            "fp": fiscal,
            "form": filing.form,
            "filed": str(filing.filed),
        }
    )


def _row(filing: _Filing, sent: str) -> dict[str, Any]:
    return {
        "accessionNumber": filing.accession,
        "filingDate": str(filing.filed),
        "reportDate": str(filing.quarter.end),
        "acceptanceDateTime": sent,
        "form": filing.form,
        "items": filing.items,
        "primaryDocument": f"synthetic-{filing.quarter.end:%Y%m%d}.htm",
        "primaryDocDescription": filing.form,
    }


def _columns(rows: Sequence[Mapping[str, Any]]) -> Document:
    names = (
        "accessionNumber", "filingDate", "reportDate", "acceptanceDateTime", "form", "items", "primaryDocument",
        "primaryDocDescription",
    )  # fmt: skip
    return {name: [row[name] for row in rows] for name in names}


def _sent(accepted: datetime, place: int, number: int) -> str:
    """Return an acceptance time as it is sent by the clock of a filer."""
    in_new_york = number % 3 == 0 or (number % 3 == 2 and place < _NEW_ROWS)
    local = accepted.astimezone(NEW_YORK) if in_new_york else accepted
    return f"{local:%Y-%m-%dT%H:%M:%S}.000Z"


def _weekday(day: date) -> date:
    return day + timedelta(days={5: 2, 6: 1}.get(day.weekday(), 0))
