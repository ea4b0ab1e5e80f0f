"""Replies of vendors with plain JSON or CSV: Alpaca, Alpha Vantage, FMP and Stooq."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from .series import Bar, sessions, walk

Document = dict[str, Any]


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"


# -------------------------------------------------------------------------------------------------------------- Alpaca


def _alpaca_bar(bar: Bar) -> Document:
    middle = round((bar.high + bar.low) / 2, 6)
    prices = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close}
    return {"t": f"{bar.day}T05:00:00Z", **prices, "v": bar.volume, "n": bar.volume // 90, "vw": middle}


def _alpaca_page(series: dict[str, Sequence[Bar]], token: str | None, *, spaced: bool = False) -> bytes:
    rows = {symbol: [_alpaca_bar(bar) for bar in bars] for symbol, bars in series.items()}
    document = {"bars": rows, "next_page_token": token and base64.b64encode(token.encode()).decode()}
    return json.dumps(document, indent=4 if spaced else None, separators=None if spaced else (",", ":")).encode()


def _latest(symbol: str, currency: str | None) -> bytes:
    bar = {"t": "2022-03-10T20:59:00Z", "o": 20.5, "h": 20.5, "l": 20.25, "c": 20.5, "v": 740, "n": 11, "vw": 20.4}
    return _json({"bars": {symbol: bar}} | ({"currency": currency} if currency else {}))


def _alpaca_actions() -> dict[str, bytes]:
    """Pages of corporate actions: three that change prices, and ten kinds that are left out."""
    dated = {"process_date": "2023-08-22", "record_date": "2023-08-14", "payable_date": "2023-08-21"}
    split = {**dated, "ex_date": "2023-08-22", "due_bill_redemption_date": "2023-08-23"}
    other = {"id": "00000000-0000-4000-8000-000000000001", "process_date": "2023-08-15"}
    names = {"new_symbol": "QZNEW", "old_symbol": "QZOLD"}
    acquired = {"acquiree_symbol": "QZSML", "acquiree_rate": 1, "acquirer_symbol": "QZBIG", "acquirer_rate": 0.5}
    effective = {"effective_date": "2023-07-20"}
    paid = {"ex_date": "2023-05-04", "process_date": "2023-05-19", "payable_date": "2023-05-19", "special": False}
    many = {
        "reverse_splits": [{**other, "ex_date": "2023-08-24", "new_rate": 1, "old_rate": 40, "symbol": "QZREV"}],
        "forward_splits": [{**split, "new_rate": 3, "old_rate": 1, "symbol": "QZSPL"}],
        "unit_splits": [{**other, **names, **effective, "old_rate": 1, "new_rate": 1, "alternate_symbol": "QZW"}],
        "stock_dividends": [{**other, "ex_date": "2023-05-19", "rate": 0.05, "symbol": "QZSTK"}],
        "cash_dividends": [{**paid, "rate": 0.375, "symbol": "QZPAY"}],
        "spin_offs": [
            {**other, "ex_date": "2023-08-15", "source_symbol": "QZSPN", "source_rate": 20, "new_symbol": "QZCHD"}
        ],
        "cash_mergers": [{**other, **effective, "acquiree_symbol": "QZCSH", "rate": 5.5}],
        "stock_mergers": [{**other, **effective, **acquired}],
        "stock_and_cash_mergers": [{**other, **effective, **acquired, "cash_rate": 7.5}],
        "redemptions": [{**other, "payable_date": "2023-06-13", "rate": 0.125, "symbol": "QZRED"}],
        "name_changes": [{**other, **names}],
        "worthless_removals": [{**other, "symbol": "QZZERO"}],
        "rights_distributions": [{**other, "ex_date": "2024-04-17", "source_symbol": "QZRGT", "rate": 1}],
    }
    splits = [{**split, "new_rate": rate, "old_rate": 1, "symbol": s} for s, rate in (("QZFIV", 5), ("QZSIX", 6))]
    chain = {"forward_splits": splits, "name_changes": [{**other, **names}]}
    one = {"cash_dividends": [{**paid, "foreign": True, "rate": 0.086928, "symbol": "QZADR"}]}
    pages = {"actions_of_every_kind": (many, "QZ|1"), "splits_and_names": (chain, None), "one_dividend": (one, None)}
    return {
        f"{name}.json": _json({"corporate_actions": lists, "next_page_token": token})
        for name, (lists, token) in pages.items()
    }


def alpaca() -> dict[str, bytes]:
    """Return the files of `wire_alpaca/marketdata`."""
    days = sessions("2022-02-01", "2022-02-04")
    pages, one, two = walk("QZM", days, 190.0), walk("QZA", days, 30.0), walk("QZN", days, 850.0)
    return {
        "bars_QZM_1.json": _alpaca_page({"QZM": pages[:2]}, f"QZM|D|{days[1]}T05:00:00.000000000Z"),
        "bars_QZM_2.json": _alpaca_page({"QZM": pages[2:]}, f"QZM|D|{days[3]}T05:00:00.000000000Z"),
        "bars_QZA.json": _alpaca_page({"QZA": one}, None, spaced=True),
        "bars_QZN.json": _alpaca_page({"QZN": two}, None, spaced=True),
        "bars_QZA_QZN.json": _alpaca_page({"QZA": one[:1], "QZN": two[:1]}, None, spaced=True),
        "latest_bars_QZM.json": _latest("QZM", None),
        "latest_bars_QZN_in_pesos.json": _latest("QZN", "MXN"),
        **_alpaca_actions(),
    }


# ------------------------------------------------------------------------------------------------------- Alpha Vantage


def _numbered(*fields: tuple[str, str]) -> Document:
    return {f"{n}. {name}": value for n, (name, value) in enumerate(fields, 1)}


def _av_row(bar: Bar, *, adjusted: bool = False, paid: str = "0.0000") -> Document:
    fields = [(name, f"{getattr(bar, name):.4f}") for name in ("open", "high", "low", "close")]
    more = [("adjusted close", f"{bar.close:.4f}")] if adjusted else []
    last = [("dividend amount", paid), ("split coefficient", "1.0000")] if adjusted else []
    return _numbered(*fields, *more, ("volume", str(bar.volume)), *last)


def _av_meta(information: str, symbol: str, refreshed: str, *interval: tuple[str, str]) -> Document:
    zone = ("Time Zone", "US/Eastern")
    head = (("Information", information), ("Symbol", symbol), ("Last Refreshed", refreshed))
    return {"Meta Data": _numbered(*head, *interval, ("Output Size", "Full size"), zone)}


def alpha_vantage() -> dict[str, bytes]:
    """Return the files of `wire_alphavantage`; the bar of 2020-05-08 is of a running session."""
    before, running = walk("IBM", sessions("2020-05-07", "2020-05-08"), 80.0)
    plain = _av_meta("Daily Prices (open, high, low, close) and Volumes", "IBM", "2020-05-08 14:07:03")
    plain["Time Series (Daily)"] = {str(bar.day): _av_row(bar) for bar in (running, before)}
    events = _av_meta("Daily Time Series with Splits and Dividend Events", "IBM", "2020-05-08 14:07:57")
    events["Time Series (Daily)"] = {
        str(running.day): _av_row(running, adjusted=True),
        str(before.day): _av_row(before, adjusted=True, paid="0.7500"),
    }
    last = datetime(2017, 12, 18, 14, 56)  # noqa: DTZ001 -- the vendor's stamps have no zone
    minutes = walk("MSFT", [last.date()] * 100, 30.0, step=0.001, digits=4)
    meta = _av_meta("Intraday (1min) prices and volumes", "MSFT", str(last), ("Interval", "1min"))
    meta["Time Series (1min)"] = {str(last - timedelta(minutes=n)): _av_row(bar) for n, bar in enumerate(minutes)}
    return {
        "IBM_2020-05-08_daily.json": _json(plain),
        "IBM_2020-05-08_dailyadjusted.json": _json(events),
        "mock_time_series.json": _json(meta),
    }


# ----------------------------------------------------------------------------------------------------------------- FMP


def fmp() -> dict[str, bytes]:
    """Return the files of `wire_fmp`: newest first; the older form has an adjusted close and another shape."""
    bars = walk("AAPL", sessions("2023-01-03", "2023-01-10"), 60.0)[::-1]
    now, then = [], []
    for bar in bars:
        prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
        middle = {"change": 0.1, "changePercent": 0.17, "vwap": round((bar.high + bar.low) / 2, 4)}
        now.append({"symbol": "AAPL", "date": str(bar.day), **prices, "volume": bar.volume, **middle})
        adjusted = {"adjClose": round(bar.close * 0.995, 2), "volume": bar.volume, "unadjustedVolume": bar.volume}
        label = {"label": f"{bar.day:%B %d, %y}", "changeOverTime": 0.0017}
        then.append({"date": str(bar.day), **prices, **adjusted, **middle, **label})
    days = dict.fromkeys(("date", "recordDate"), "2025-08-11") | {"paymentDate": "2025-08-14"}
    paid = {"symbol": "AAPL", **days, "declarationDate": "2025-07-31", "adjDividend": 0.125, "dividend": 0.125}
    dates = "AAPL_2023-01-03_2023-01-10"
    return {
        f"fmp_stable_historical-price-eod-full_{dates}.json": _json(now),
        f"fmp_v3_historical-price-full_{dates}.json": _json({"symbol": "AAPL", "historical": then}),
        "fmp_stable_dividends_AAPL_limit1.json": _json([{**paid, "yield": 0.25, "frequency": "Quarterly"}]),
    }


# --------------------------------------------------------------------------------------------------------------- Stooq

_ENGLISH = "Date,Open,High,Low,Close,Volume"
_POLISH = "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen"


def _stooq(head: str, bars: Sequence[Bar], *, part: str = "", without_volume: int = 0) -> bytes:
    """Return a reply: CRLF, volumes with the fraction `part`, and rows of five fields where there is no volume."""
    rows = []
    for n, bar in enumerate(bars):
        prices = ",".join(f"{getattr(bar, name):g}" for name in ("open", "high", "low", "close"))
        rows.append(f"{bar.day},{prices}" + ("" if n < without_volume else f",{bar.volume}{part}"))
    return "".join(f"{line}\r\n" for line in (head, *rows)).encode()


def stooq() -> dict[str, bytes]:
    """Return the files of `daily_us_stooq_download_csv`; one begins in 1789, with a value a month and no volume."""
    english = walk("aapl", sessions("2024-01-16", "2024-06-28"), 40.0, digits=3)
    polish = walk("aapl old", sessions("1984-09-07", "1985-02-28"), 0.25, digits=6)
    tsla = walk("tsla", sessions("2010-06-28", "2010-09-30"), 3.0, digits=5)
    months = [date(1789 + n // 12, n % 12 + 1, 1) for n in range(4, 100)]
    spx = walk("spx", [*months, *sessions("2000-01-03", "2000-06-30")], 5.0)
    return {
        "aapl_us_d.english_header.csv.gz": _stooq(_ENGLISH, english),
        "aapl_us_d.polish_header.csv.gz": _stooq(_POLISH, polish, part=".83885"),
        "tsla_us_d.polish_header.csv.gz": _stooq(_POLISH, tsla, without_volume=1),
        "^spx_d.polish_header.csv.gz": _stooq(_POLISH, spx, without_volume=len(months)),
    }
