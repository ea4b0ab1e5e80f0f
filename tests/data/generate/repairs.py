"""Pairs of defective and repaired series in the form of yfinance's tests: events beside prices divided by splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from .series import NEW_YORK, Bar, sessions
from .shares import invented

_HEAD = "Datetime,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits"
_LONDON = ZoneInfo("Europe/London")
_D = date.fromisoformat


@dataclass(frozen=True)
class _Series:
    """Bars with what the vendor says beside them: dividends, splits, and the steps of its adjusted close."""

    bars: Sequence[Bar]
    zone: ZoneInfo = NEW_YORK
    dividends: Mapping[date, float] = field(default_factory=dict)
    splits: Mapping[date, float] = field(default_factory=dict)
    steps: Mapping[date, float] = field(default_factory=dict)
    exploded_before: date = date.min

    def csv(self) -> bytes:
        rows, product = [], 1.0
        for bar in reversed(self.bars):
            at = datetime(bar.day.year, bar.day.month, bar.day.day, tzinfo=self.zone)
            adjusted = f"{bar.close * product:.9g}" if bar.day >= self.exploded_before else "-inf"
            prices = f"{bar.open},{bar.high},{bar.low},{bar.close},{adjusted}"
            events = f"{self.dividends.get(bar.day, 0.0)},{self.splits.get(bar.day, 0.0)}"
            rows.append(f"{at},{prices},{bar.volume},{events}")
            product *= self.steps.get(bar.day, 1.0)
        return "".join(f"{line}\n" for line in (_HEAD, *reversed(rows))).encode()


def _dividends() -> dict[str, _Series]:
    london, new_york = sessions("2022-01-04", "2022-12-30", "XLON"), sessions("2022-01-03", "2022-12-30")
    paid = dict.fromkeys(("2022-03-03", "2022-06-09", "2022-09-01"), 4.0)
    pence = invented("QZPN.L", london, 800.0, dividends=paid, step=0.004, digits=1)
    steps, days = pence.paid_steps(), list(pence.dividends)
    hundredths = dict.fromkeys(days, 400.0)
    right = _Series(pence.bars, _LONDON, pence.dividends, steps=steps)
    huge = {**pence.dividends, days[1]: 1200.0}  # more than the share

    dollars = invented("QZTW", new_york, 30.0, dividends=dict.fromkeys(("2022-03-10", "2022-06-10"), 0.45), step=0.012)
    once, last = dollars.paid_steps(), _D("2022-06-10")
    twice = {**dollars.dividends, _D("2022-06-09"): 0.45}
    fund = invented("QZCG", new_york, 90.0, dividends={"2022-12-15": 3.6}, step=0.004)
    ((ex, step),) = fund.paid_steps().items()
    return {
        "QZPN-L-1d-bad-div": _Series(pence.bars, _LONDON, hundredths, steps=steps),
        "QZPN-L-1d-bad-div-fixed": right,
        "QZBP-L-1d-bad-div": _Series(pence.bars, _LONDON, huge, steps=steps),
        "QZBP-L-1d-bad-div-fixed": right,
        "QZTW-1d-bad-div": _Series(dollars.bars, NEW_YORK, twice, steps={**once, last: once[last] ** 2}),
        "QZTW-1d-bad-div-fixed": _Series(dollars.bars, NEW_YORK, dollars.dividends, steps=once),
        "QZCG-1d-cg-double-count": _Series(fund.bars, NEW_YORK, fund.dividends, steps={ex: 2 * step - 1}),
        "QZXP-1d-bad-div": _Series(
            dollars.bars, NEW_YORK, dollars.dividends, steps=once, exploded_before=_D("2022-04-01")
        ),
        "QZGD-1d-no-bad-divs": _Series(fund.bars, NEW_YORK, fund.dividends, steps={ex: step}),
    }


def _units_and_splits() -> dict[str, bytes]:
    days = sessions("2022-05-03", "2022-06-17", "XLON")
    pence = invented("QZUN.L", days, 145.0, step=0.004, digits=2).bars
    pounds = [bar.times(0.01, 4) if 10 <= n < 19 else bar for n, bar in enumerate(pence)]
    share = invented("QZSS", sessions("2023-03-15", "2023-04-28"), 40.0, step=0.006)
    split = {_D("2023-03-30"): 5.0}
    undivided = [bar.times(5, 2) if bar.day < _D("2023-03-30") else bar for bar in share.bars]
    return {
        "QZUN-L-1d-100x-error.csv": _Series(pounds, _LONDON).csv(),
        "QZSS-1d-bad-stock-split.csv": _Series(undivided, NEW_YORK, splits=split).csv(),
    }


def files() -> dict[str, bytes]:
    """Return the files of `known_answers/yfinance_price_repair`."""
    return {f"{name}.csv.gz": series.csv() for name, series in _dividends().items()} | _units_and_splits()
