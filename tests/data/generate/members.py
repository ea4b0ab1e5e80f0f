"""An index on past days: an encyclopaedia's page with its changes, and what a fund on the index held."""

from __future__ import annotations

from datetime import date

_ALWAYS = ["BRK.B", "BF.B", "META", *(f"QZ{a}{b}" for a in "AB" for b in "ABCDEFGHIJKLMNOP")]
_JOINED = ["QZJA", "QZJB", "QZJC"]
_CONTRADICTED = "QZAA"  # it left by the changes and is a member by the list
# Newest first: day, joined, left. QZOLD is the symbol of QZNEW until 2019-06-28.
_CHANGES = [
    ("March 21, 2022", "QZJA", "QZLA"),
    ("June 22, 2020", "QZJB", "QZLB"),
    ("June 18, 2018", "QZOLD", "QZLC"),
    ("March 23, 2015", "QZJC", _CONTRADICTED),
]
_NAMES = {"QZNEW": "QZOLD"}
_RENAMED = date(2019, 6, 28)


def _table(name: str, head: str, rows: list[list[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{cell}\n</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<table class="wikitable sortable" id="{name}">\n<tbody>{head}{body}</tbody></table>\n'


def page() -> dict[str, bytes]:
    """Return the page: the table of members and the table of changes, with its header of two rows."""
    columns = ("Symbol", "Security", "GICS Sector", "GICS Sub-Industry", "Headquarters Location", "Date added")
    head = "<tr>" + "".join(f"<th>{name}\n</th>" for name in (*columns, "CIK", "Founded")) + "</tr>\n"
    members = []
    for n, s in enumerate([*_ALWAYS, *_JOINED, "QZNEW"], 1):
        links = [f'<a href="https://example.com/{s}">{s}</a>', f'<a href="/wiki/{s}">Invented {s}</a>']
        members.append([*links, "Industrials", "Machinery", "Nowhere", "1990-01-02", f"{n:010d}", "1901"])
    over = '<tr><th rowspan="2">Effective Date\n</th><th colspan="2">Added\n</th><th colspan="2">Removed\n</th>'
    over += '<th rowspan="2">Reason\n</th></tr>\n'
    under = "<tr>" + "".join(f"<th>{name}\n</th>" for name in ("Ticker", "Security") * 2) + "</tr>\n"
    changes = [
        [day, joined, f"Invented {joined}", left, f"Invented {left}", "Market capitalization change.<sup>[1]</sup>"]
        for day, joined, left in _CHANGES
    ]
    tables = _table("constituents", head, members) + _table("changes", over + under, changes)
    text = f"<!DOCTYPE html>\n<html><head><title>Invented index</title></head>\n<body>{tables}</body></html>\n"
    return {"wikipedia_sp500_2026.html.gz": text.encode()}


def _held(day: date) -> list[str]:
    """Return the symbols of a day, each by its name on that day."""
    later = [
        (date(2022, 3, 21), "QZJA", "QZLA"),
        (date(2020, 6, 22), "QZJB", "QZLB"),
        (date(2018, 6, 18), "QZNEW", "QZLC"),
    ]
    held = [joined if day >= changed else left for changed, joined, left in later]
    return [_NAMES.get(s, s) if day <= _RENAMED else s for s in (*_ALWAYS, "QZJC", *held)]


def holdings() -> dict[str, bytes]:
    """Return the files of `constituents/ishares_ivv_holdings`: classes without a dot, cash, a future, a right."""
    names = [
        "symbol",
        "name",
        "sector",
        "asset_class",
        "market_value",
        "weight_pct",
        "notional_value",
        "shares",
        "CUSIP",
        "ISIN",
        "SEDOL",
        "price",
        "location",
        "exchange",
        "market_currency",
        "fx_rate",
        "accrual_date",
        "date",
    ]
    files = {}
    for day in (date(2016, 12, 30), date(2018, 12, 31), date(2021, 12, 31), date(2026, 6, 30)):
        rows = [",".join(f'"{name}"' for name in names)]
        for symbol in _held(day):
            number = sorted({*_ALWAYS, *_JOINED, "QZLA", "QZLB", "QZLC", "QZNEW"}).index(
                {"QZOLD": "QZNEW"}.get(symbol, symbol)
            )
            ids = f'"{number:09d}","US{number:010d}","{number:07d}"'
            ticker = symbol.replace(".", "")
            rows.append(
                f'"{ticker}","INVENTED {ticker}","Industrials","Equity",1000.5,2.5,1000.5,10,{ids},100.05,'
                f'"United States","NYSE","USD",1,"-",{day}'
            )
        tail = f'"-","-","-",1,"-","-","USD",1,"-",{day}'
        rows.append(f'"XTSLA","CASH FUND","Cash and/or Derivatives","Money Market",500,0.1,500,500,{tail}')
        rows.append(f'"USD","USD CASH","Cash and/or Derivatives","Cash",5,0,5,5,{tail}')
        right = '"-","USRIGHT00001","9999999",0.01,"United States","NO MARKET (E.G. UNLISTED)","USD",1,"-"'
        rows.append(f'"QZLR","INVENTED RIGHT","Health Care","Equity",2.5,0,2.5,250,{right},{day}')
        future = f'"-","-","-",7000,"-","Index And Options Market","USD",1,"-",{day}'
        rows.append(f'"ESU6","INDEX EMINI","Cash and/or Derivatives","Futures",0,0,700,1,{future}')
        files[f"{day:%Y%m%d}.csv.xz"] = "".join(f"{row}\n" for row in rows).encode()
    return files
