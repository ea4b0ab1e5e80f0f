"""The vendor's adjusted close as a witness: what it proves, and the likely cause of each disagreement."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.quality.recorded_daily import ACTIONS, repair_file, wiki_files, yahoo_files
from tests.market_data import either

from quantx.core.quality.adjustments import prove, unusable_adjusted

FIRST = date(2020, 1, 6)
CLOSES = [10.0, 10.2, 9.9, 10.1, 10.4, 10.3, 10.0, 9.8]  # in the shares of the last day
Event = tuple[int, str, float]  # position of the ex-date, kind, value as the vendor gives it


def day(i: int) -> date:
    return FIRST + timedelta(i)


def series(steps: dict[int, float], closes: list[float] = CLOSES, decimals: int = 6) -> pl.DataFrame:
    """Bars of a vendor whose factor makes these steps (before / after)."""
    factors = [1.0] * len(closes)
    for i, step in steps.items():
        factors = [f * step if k < i else f for k, f in enumerate(factors)]
    adjusted = [round(c * f, decimals) for c, f in zip(closes, factors, strict=True)]
    return pl.DataFrame(
        {"series": "A", "date": [day(i) for i in range(len(closes))], "close": closes, "vendor_adj_close": adjusted}
    )


def events(*happened: Event) -> pl.DataFrame:
    rows = [("A", day(i), kind, value) for i, kind, value in happened]
    return pl.DataFrame(rows, schema={"series": pl.String, **dict(list(ACTIONS.items())[1:])}, orient="row")


def verdicts(bars: pl.DataFrame, actions: pl.DataFrame, **how: Any) -> dict[date, str]:
    found = prove(bars, actions, **{"split_in_close": True, **how})
    return dict(zip(found["ex_date"], found["verdict"], strict=True))


PAID = 1 - 0.2 / CLOSES[2]  # by Yahoo's rule, of 0.20 ex day 3

CAUSES: list[tuple[str, dict[int, float], list[Event], dict[int, str]]] = [
    ("nothing happened", {}, [], {}),
    ("a dividend", {3: PAID}, [(3, "dividend", 0.2)], {3: "agree"}),
    ("two on one day", {3: PAID}, [(3, "dividend", 0.15), (3, "dividend", 0.05)], {3: "agree"}),
    ("a split in the close", {}, [(3, "split", 2.0)], {3: "agree"}),
    ("no action", {3: PAID}, [], {3: "missing_dividend"}),
    ("no action, a ratio", {3: 0.5}, [], {3: "missing_split"}),
    ("no action, a ratio upside down", {3: 10.0}, [], {3: "missing_split"}),
    ("no action, upwards", {3: 1.02}, [], {3: "unexplained"}),
    ("not applied", {}, [(3, "dividend", 0.2)], {3: "not_applied"}),
    ("applied twice", {3: PAID**2}, [(3, "dividend", 0.2)], {3: "applied_twice"}),
    ("a hundredth", {3: 1 - 0.002 / CLOSES[2]}, [(3, "dividend", 0.2)], {3: "wrong_factor"}),
    ("the split again", {3: 0.5}, [(3, "split", 2.0)], {3: "applied_twice"}),
    ("without the split", {3: 2.0}, [(3, "split", 2.0)], {3: "not_applied"}),
    ("with the split, a dividend is lost", {}, [(3, "split", 2.0), (3, "dividend", 0.2)], {3: "not_applied"}),
    ("above the price", {3: 1 - 15 / CLOSES[2]}, [(3, "dividend", 15.0)], {3: "wrong_factor"}),
    ("above the price, left out", {}, [(3, "dividend", 15.0)], {3: "not_applied"}),
    ("again two days later", {3: PAID, 5: PAID}, [(3, "dividend", 0.2)], {3: "agree", 5: "applied_twice"}),
    ("taken back", {3: PAID, 2: 1 / PAID}, [(3, "dividend", 0.2)], {2: "not_applied", 3: "agree"}),
    ("on the first day", {}, [(0, "dividend", 0.2)], {}),
    ("after the last day", {}, [(8, "dividend", 0.2)], {}),
]


@pytest.mark.parametrize(("steps", "happened", "expected"), [c[1:] for c in CAUSES], ids=[c[0] for c in CAUSES])
def test_a_disagreement_has_its_likely_cause(
    steps: dict[int, float], happened: list[Event], expected: dict[int, str]
) -> None:
    assert verdicts(series(steps), events(*happened)) == {day(i): v for i, v in expected.items()}


AS_TRADED: list[tuple[str, dict[int, float], list[Event], str]] = [
    ("a split", {3: 0.5}, [(3, "split", 2.0)], "agree"),
    ("a split and a dividend", {3: 0.5 * (1 - 0.1 / (CLOSES[2]))}, [(3, "split", 2.0), (3, "dividend", 0.1)], "agree"),
    ("the split is not applied", {}, [(3, "split", 2.0)], "not_applied"),
    ("the split is applied twice", {3: 0.25}, [(3, "split", 2.0)], "applied_twice"),
    ("an unknown split", {3: 2 / 3}, [], "missing_split"),
]


@pytest.mark.parametrize(("steps", "happened", "expected"), [c[1:] for c in AS_TRADED], ids=[c[0] for c in AS_TRADED])
def test_splits_are_steps_where_the_close_is_as_traded(
    steps: dict[int, float], happened: list[Event], expected: str
) -> None:
    closes = [c * 2 if i < 3 else c for i, c in enumerate(CLOSES)] if expected == "agree" else CLOSES
    assert verdicts(series(steps, closes), events(*happened), split_in_close=False) == {day(3): expected}


def test_an_action_on_a_day_without_a_bar_takes_effect_at_the_next_one() -> None:
    bars = series({4: 1 - 0.2 / CLOSES[2]}).filter(pl.col("date") != day(3))
    assert verdicts(bars, events((3, "dividend", 0.2))) == {day(3): "agree"}


def test_of_two_rows_for_a_day_the_last_counts() -> None:
    bars = series({3: PAID})
    first = bars.filter(pl.col("date") == day(3)).with_columns(pl.lit(99.0).alias("vendor_adj_close"))
    doubled = pl.concat([first, bars]).sort("date", maintain_order=True)
    assert verdicts(doubled, events((3, "dividend", 0.2))) == {day(3): "agree"}


def test_no_bars_prove_nothing() -> None:
    assert prove(series({}).clear(), events((3, "dividend", 0.2)), split_in_close=True).is_empty()


@pytest.mark.parametrize("hole", [None, float("nan"), float("-inf"), 0.0])
def test_a_row_that_can_not_be_used_moves_its_event_to_the_next(hole: float | None) -> None:
    lost = pl.when(pl.col("date") == day(3)).then(hole).otherwise("vendor_adj_close").alias("vendor_adj_close")
    assert verdicts(series({3: PAID}).with_columns(lost), events((3, "dividend", 0.2))) == {day(3): "agree"}


def test_a_day_with_something_that_can_not_be_judged_is_left_out() -> None:
    assert verdicts(series({3: 0.97}), events((3, "foreign_dividend", 0.2), (3, "dividend", 0.1))) == {}


@given(
    st.lists(st.floats(0.01, 500.0), min_size=4, max_size=40),
    st.sampled_from([2, 4, 6]),
    st.lists(st.tuples(st.integers(1, 39), st.floats(0.0, 0.3)), max_size=4),
)
def test_the_rounding_of_published_figures_is_never_a_disagreement(
    closes: list[float], decimals: int, paid: list[tuple[int, float]]
) -> None:
    closes = [round(c, 6) for c in closes]
    shares = {i: share for i, share in paid if i < len(closes) and share * closes[i - 1] >= 1e-5}
    amounts = {i: round(share * closes[i - 1], 6) for i, share in shares.items()}
    bars = series({i: 1 - amount / closes[i - 1] for i, amount in amounts.items()}, closes, decimals)
    found = verdicts(bars, events(*((i, "dividend", amount) for i, amount in amounts.items())))
    assert set(found.values()) <= {"agree", "spin_off_as_cash"}


@pytest.mark.parametrize(
    ("share", "other", "fell", "expected"),
    [
        (0.30, True, True, "spin_off_as_cash"),
        (0.30, True, False, "agree"),  # the price did not fall with it: no shares were given
        (0.15, False, True, "spin_off_as_cash"),
        (0.15, True, True, "agree"),  # a special dividend of a company that pays dividends: MSFT 2004-11-15
        (0.08, False, True, "agree"),
    ],
)
def test_a_large_distribution_is_a_spin_off(share: float, other: bool, fell: bool, expected: str) -> None:
    n, ex = 900, 450
    closes = [100.0 if i < ex or not fell else 100.0 * (1 - share) for i in range(n)]
    happened: list[Event] = [(ex, "dividend", 100 * share)]
    steps = {ex: 1 - share}
    if other:
        happened.append((ex + 90, "dividend", 0.5))
        steps[ex + 90] = 1 - 0.5 / closes[ex + 89]
    assert verdicts(series(steps, closes), events(*happened))[day(ex)] == expected


def test_what_is_not_positive_is_counted_from_the_first_day_to_the_last() -> None:
    bars = series({}).with_columns(
        pl.Series("vendor_adj_close", [1.0, -1.0, 0.0, 1.0, float("inf"), None, float("nan"), 1])
    )
    assert unusable_adjusted(bars).rows() == [("A", day(1), day(4), 3)]
    assert unusable_adjusted(series({3: PAID})).is_empty()


D = date.fromisoformat
RECORDED_REPAIRS: list[tuple[str, str, list[str]]] = [
    ("1398-HK-1d-bad-div", "not_applied", ["2024-07-08"]),
    ("3988-HK-1d-bad-div", "not_applied", ["2024-07-08"]),
    ("4063-T-1d-bad-div", "wrong_factor", ["2023-03-30"]),
    ("ABDP-L-1d-bad-div", "wrong_factor", ["2022-05-05", "2022-12-29", "2023-05-04", "2024-02-08", "2024-05-02"]),
    ("DODFX-1d-cg-double-count", "wrong_factor", ["2025-12-18"]),
    ("ELCO-L-1d-bad-div", "wrong_factor", ["2022-06-01", "2022-09-22", "2023-05-18", "2023-09-21", "2024-06-13"]),
    (
        "PSH-L-1d-bad-div",
        "wrong_factor",
        [
            "2022-02-17",
            "2022-05-19",
            "2022-08-18",
            "2022-11-17",
            "2023-02-16",
            "2023-05-18",
            "2023-08-17",
            "2023-11-16",
            "2024-02-15",
            "2024-05-16",
            "2024-08-15",
        ],
    ),
    ("REL-L-1d-bad-div", "wrong_factor", ["2022-04-28", "2022-08-04", "2023-04-27", "2023-08-03", "2024-05-02"]),
    ("REL-L-1d-bad-div", "not_applied", ["2024-08-01"]),
    (
        "RGL-L-1d-bad-div",
        "wrong_factor",
        [
            "2022-03-03",
            "2022-06-01",
            "2022-09-01",
            "2022-11-17",
            "2023-03-02",
            "2023-06-01",
            "2023-09-21",
            "2023-11-16",
            "2024-02-29",
            "2024-05-30",
        ],
    ),
    ("SAND-1d-bad-div", "not_applied", ["2024-01-12"]),
    ("SAND-1d-bad-div", "applied_twice", ["2024-01-16"]),
    (
        "SERE-L-1d-bad-div",
        "wrong_factor",
        [
            "2022-03-31",
            "2022-07-14",
            "2022-09-08",
            "2022-12-29",
            "2023-04-13",
            "2023-07-20",
            "2023-10-19",
            "2023-12-28",
            "2024-04-11",
            "2024-07-11",
        ],
    ),
    ("VWILX-1d-cg-double-count", "wrong_factor", ["2024-12-18", "2025-12-17"]),
]
SAMPLE_REPAIRS = [
    ("QZPN-L-1d-bad-div", "wrong_factor", ["2022-03-03", "2022-06-09", "2022-09-01"]),
    ("QZBP-L-1d-bad-div", "wrong_factor", ["2022-06-09"]),
    ("QZTW-1d-bad-div", "not_applied", ["2022-06-09"]),
    ("QZTW-1d-bad-div", "applied_twice", ["2022-06-10"]),
    ("QZCG-1d-cg-double-count", "wrong_factor", ["2022-12-15"]),
]
REPAIRS = either(RECORDED_REPAIRS, SAMPLE_REPAIRS)
# What the vendor repeats in its adjusted close, so that both sides agree; test_dividend_rules.py finds these.
AGREED_UPON = ("KAP-IL-1d-bad-div", "KME-MI-1d-bad-div", "NVT-L-1d-bad-div", "TENT-L-1d-bad-div", "TEP-PA-1d-bad-div")
GOOD = (
    "CALM-1d-no-bad-divs",
    "EA-15m-no-bad-divs",
    "HSBK-IL-1d-no-bad-divs",
    "IBE-MC-1d-no-bad-divs",
    "KMR-L-1d-no-bad-divs",
)


@pytest.mark.parametrize(("name", "verdict", "days"), REPAIRS, ids=[f"{n} {v}" for n, v, _ in REPAIRS])
def test_recorded_defects_are_found_on_their_days(market_data: Path, name: str, verdict: str, days: list[str]) -> None:
    bars, actions = repair_file(market_data, name)
    proofs = prove(bars, actions, split_in_close=True, key="symbol")
    assert proofs.filter(pl.col("verdict") == verdict)["ex_date"].to_list() == [D(d) for d in days]
    others = {v for n, v, _ in REPAIRS if n == name} | {"agree"}
    assert set(proofs["verdict"]) <= others


def test_a_recorded_series_of_adjusted_closes_that_exploded_is_found(market_data: Path) -> None:
    name, first, last, rows = either(
        ("SSNLF-1d-bad-div", "2001-08-06", "2026-03-27", 3180), ("QZXP-1d-bad-div", "2022-01-03", "2022-03-31", 62)
    )
    bars, actions = repair_file(market_data, name)
    assert unusable_adjusted(bars, "symbol").rows() == [(name, D(first), D(last), rows)]
    proofs = prove(bars, actions, split_in_close=True, key="symbol")
    assert proofs["verdict"].value_counts(sort=True).rows()[0] == either(("wrong_factor", 60), ("agree", 1))


AGREEING = either(
    (*GOOD, *AGREED_UPON, "REL-L-1d-bad-div-fixed", "RGL-L-1d-bad-div-fixed"),
    ("QZGD-1d-no-bad-divs", "QZPN-L-1d-bad-div-fixed", "QZBP-L-1d-bad-div-fixed", "QZTW-1d-bad-div-fixed"),
)


@pytest.mark.parametrize("name", AGREEING)
def test_recorded_series_that_agree_are_left_in_peace(market_data: Path, name: str) -> None:
    bars, actions = repair_file(market_data, name)
    proofs = prove(bars, actions, split_in_close=True, key="symbol")
    assert proofs.filter(~pl.col("verdict").is_in(["agree", "spin_off_as_cash"])).is_empty()
    assert proofs.height >= 1
    assert unusable_adjusted(bars, "symbol").is_empty()


WIKI_DEFECTS = [
    ("BAC", "2018-03-01", "not_applied"),  # 0.12
    ("INTC", "2017-11-07", "applied_twice"),  # the 0.273 of the day before
    ("NKE", "2018-03-01", "not_applied"),  # the 0.20 of the next day, taken back
]
WIKI_SPIN_OFFS = [
    ("ABT", "2013-01-02"),  # AbbVie
    ("AIG", "2011-01-20"),  # warrants
    ("EBAY", "2015-07-20"),  # PayPal
    ("GOOGL", "2014-04-03"),  # shares of class C
    ("HPQ", "2015-11-02"),  # HPE
    ("MO", "2007-04-02"),  # Kraft
    ("MO", "2008-03-31"),  # Philip Morris International
    ("YUM", "2016-11-01"),  # Yum China
]


DEFECTS, SPIN_OFFS, PROOFS = either(
    (WIKI_DEFECTS, WIKI_SPIN_OFFS, 1751),
    ([("QZBB", "2017-08-10", "not_applied"), ("QZFF", "2016-11-04", "not_applied")], [("QZDD", "2017-07-03")], 37),
)


def test_recorded_as_traded_files_prove_their_actions(market_data: Path) -> None:
    bars, actions = wiki_files(market_data)
    proofs = prove(bars, actions, split_in_close=False, formula="ex_close", key="symbol")
    wrong = proofs.filter(~pl.col("verdict").is_in(["agree", "spin_off_as_cash"]))
    assert [(s, str(d), v) for s, d, v in wrong.select("symbol", "ex_date", "verdict").iter_rows()] == DEFECTS
    spun = proofs.filter(pl.col("verdict") == "spin_off_as_cash")
    assert [(s, str(d)) for s, d in spun.select("symbol", "ex_date").iter_rows()] == SPIN_OFFS
    assert proofs.height == PROOFS


def test_recorded_adjusted_closes_are_the_product_of_the_steps(market_data: Path) -> None:
    bars, actions = wiki_files(market_data)
    proofs = prove(bars, actions, split_in_close=False, formula="ex_close", key="symbol").sort("symbol", "ex_date")
    after = proofs.with_columns(pl.col("ours").reverse().cum_prod().reverse().over("symbol").alias("factor"))
    joined = bars.sort("date").join_asof(
        after.select("symbol", "factor", date="ex_date").sort("date"),
        on="date",
        by="symbol",
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    off = (pl.col("close") * pl.col("factor").fill_null(1.0) / pl.col("vendor_adj_close") - 1).abs()
    worst = joined.group_by("symbol").agg(off.max().alias("off"))
    assert worst.filter(pl.col("off") > 1e-9)["symbol"].sort().to_list() == [symbol for symbol, *_ in DEFECTS]
    assert worst.height == either(39, 6)


def test_recorded_clean_files_step_only_as_dividends_do(market_data: Path) -> None:
    """Yahoo's files (993,396 recorded rows, 3,940 symbol-years) name no dividends, and each of their steps is one."""
    bars = yahoo_files(market_data)
    assert bars.height == either(993_396, 6 * 482)
    proofs = prove(bars, pl.DataFrame(schema=ACTIONS), split_in_close=True, key="symbol")
    assert set(proofs["verdict"]) == {"missing_dividend"}
    assert proofs.height == either(12_303, 31)
    assert either(4e-5, 6e-4) < (1 - proofs["vendors"]).min() < either(1e-4, 7e-4)
    assert unusable_adjusted(bars, "symbol").is_empty()


def test_recorded_factor_files_of_another_engine_make_the_same_steps(market_data: Path) -> None:
    """LEAN's price and split factors hold up to a day, with seven decimals; ours are steps at the session after it."""
    symbol = either("AAPL", "QZAA")
    path = market_data / "known_answers" / "lean_factor_files" / f"{symbol.lower()}.csv"
    lean = pl.read_csv(path, has_header=False, new_columns=["day", "price", "split", "close"]).with_columns(
        pl.col("day").cast(pl.String).str.to_date("%Y%m%d")
    )
    factor = pl.col("price") * pl.col("split")
    lean = lean.select("day", theirs=factor / factor.shift(-1))
    bars, actions = (f.filter(pl.col("symbol") == symbol) for f in wiki_files(market_data))
    ours = prove(bars, actions, split_in_close=False, key="symbol").filter(pl.col("ours") != 1)
    session_before = bars.select(pl.col("date").alias("ex_date"), day=pl.col("date").shift(1))
    both = ours.join(session_before, on="ex_date").join(lean, on="day")
    assert both.height == ours.height == either(24, 8)
    # Five of its closes before an ex-date are of another venue, up to 0.03 % off: that is a dividend's 3e-6.
    assert both.filter((pl.col("ours") / pl.col("theirs") - 1).abs() > 5e-6).is_empty()
