"""The demonstration's report: it loads nothing, and text from vendors and files stays text in every place."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl

from quantx.cli.demo.page import Chapter, DemoResults, demo_page

HOSTILE = "<script>alert('x')</script>\"&'"
DAYS = [date(2024, 1, day) for day in (2, 3, 4)]
NOW = datetime(2024, 1, 12, tzinfo=UTC)
TOTALS = dict.fromkeys(("requests", "success", "failed", "rows_new", "rows_changed", "rows_rejected"), 1)


def results(text: str, symbol: str) -> DemoResults:
    bars = pl.DataFrame({"symbol": symbol, "date": DAYS, "close": [10.0, 11.0, 12.0]})
    actions = [
        {"ex_date": DAYS[1], "kind": kind, "value": 2.0, "reference_close": 11.0, "currency": text}
        for kind in ("split", text)
    ]
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    return DemoResults(
        source=text,
        chapters=[Chapter(text, text, 0.1, TOTALS)],
        symbol=text,
        as_traded=bars,
        split_adjusted=bars,
        total_adjusted=bars,
        actions=pl.DataFrame(actions),
        revisions=pl.DataFrame([{"symbol": text, "date": DAYS[0], **prices, "known_from": NOW, "known_to": NOW}]),
        quarantine=pl.DataFrame([{"symbol": text, "date": DAYS[1], "rules": "volume_valid", "row": text}]),
        recent=bars,
        manifest={
            "series": [
                {"symbol": symbol, "dataset": "bars", "rows": 3},
                {"symbol": "CIK9000000003", "dataset": "fundamentals", "rows": 40},
            ],
            "tables": [{"table": text, "version": 1, "rows": 3, "files": 1, "megabytes": 0.1}],
        },
    )


def test_text_from_outside_is_escaped_in_every_place() -> None:
    page = demo_page(results(HOSTILE, "AAA"))
    assert "<script" not in page
    assert "'x'" not in page
    assert page.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&#34;&amp;&#39;") == 11


def test_the_report_loads_nothing_and_has_both_charts() -> None:
    page = demo_page(results("tape", "AAA"))
    assert "default-src 'none'" in page
    assert page.count("<svg") == 2
    assert page.count('class="curated"') == 3
    assert page.count("<polyline") == 3
    assert "split 2:1" in page
    assert "1 symbols and 3 daily bars" in page  # facts of filings are no bars


def test_without_bars_it_says_so() -> None:
    full = results("tape", "AAA")
    none = full.as_traded.clear()
    page = demo_page(DemoResults(**{**vars(full), "as_traded": none, "recent": none}))
    assert "<p>no bars</p>" in page
