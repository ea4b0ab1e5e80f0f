"""The declared facts of the synthetic market: companies, splits, renames, mistakes. Sessions count back from the last.

`1` is the last session, `3` the first one of the demonstration's script. Spoiled rows lie within a year of the end, on
symbols without other events, so that a short backfill contains all of them.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass


@dataclass(frozen=True)
class SyntheticCompany:
    """One invented company."""

    symbol: str
    name: str
    price: float  # at the first session, in the exchange's currency
    _: KW_ONLY
    volatility: float = 0.014  # standard deviation of a session's return
    dividend: float = 0.0  # per year, as a share of the price, paid each quarter
    splits: tuple[tuple[int, int, int], ...] = ()  # (sessions back, new shares, old shares)
    listed: int | None = None  # sessions back; None: before the first session
    delisted: int | None = None  # sessions back of its last session


COMPANIES = (
    SyntheticCompany("QXAA", "Alder Works", 140.0, dividend=0.012, splits=((3, 4, 1),)),
    SyntheticCompany("QXAB", "Birch Rail", 55.0, delisted=320),
    SyntheticCompany("QXAC", "Cedar Optics", 80.0, dividend=0.02),
    SyntheticCompany("QXAD", "Dogwood Cloud", 24.0, volatility=0.022, listed=1_250),
    SyntheticCompany("QXAF", "Fir & Elm Group", 62.0, dividend=0.03),
    SyntheticCompany("QXAG", "Ginkgo Shipping", 9.0, volatility=0.02, splits=((700, 1, 10),)),
    SyntheticCompany("QXAH", "Hazel Retail", 120.0, dividend=0.018, splits=((1_500, 2, 1), (900, 3, 2))),
    SyntheticCompany("QXAI", "Ironwood Devices", 320.0, volatility=0.016, dividend=0.006, splits=((1_100, 7, 1),)),
    SyntheticCompany("QXAJ", "Juniper Foods", 48.0, dividend=0.025),
    SyntheticCompany("QXAK", "Kapok Textiles", 31.0),
    SyntheticCompany("QXAL", "Larch Mining", 18.0, volatility=0.019),
    SyntheticCompany("QXAM", "Maple Insurance", 95.0, dividend=0.022),
    SyntheticCompany("QXAN", "Nutmeg Pharma", 44.0),
    SyntheticCompany("QXAO", "Oak Utilities", 52.0, volatility=0.009, dividend=0.038),
    SyntheticCompany("QXAP", "Pine Logistics", 70.0),
    SyntheticCompany("QXAQ", "Quince Media", 27.0, volatility=0.02),
    SyntheticCompany("QXAR", "Rowan Bank", 39.0, dividend=0.03),
    SyntheticCompany("QXAS", "Spruce Energy", 66.0, volatility=0.018, dividend=0.04),
    SyntheticCompany("QXAT.B", "Teak Holdings Class B", 210.0),
    SyntheticCompany("99901.HK", "Umbrella Harbour", 260.0, dividend=0.012, splits=((400, 5, 1),)),
    SyntheticCompany("99902.HK", "Violet Peak", 7.4),
    SyntheticCompany("99903.HK", "Willow Ferries", 33.0, dividend=0.035),
    SyntheticCompany("99904.HK", "Xylem Property", 12.6, volatility=0.018),
    SyntheticCompany("99905.HK", "Yew Electronics", 88.0),
    SyntheticCompany("990Q.T", "Zelkova Robotics", 21_000.0, dividend=0.01, splits=((450, 10, 1),)),
    SyntheticCompany("991Q.T", "Akebono Precision", 2_400.0),
    SyntheticCompany("992Q.T", "Biwa Chemicals", 1_150.0, dividend=0.025),
    SyntheticCompany("993Q.T", "Chitose Rail", 3_600.0, volatility=0.01, dividend=0.02),
    SyntheticCompany("994Q.T", "Daisen Foods", 860.0),
)

# (old symbol, new symbol, sessions back of the new one's first session); it makes thirty symbols in all.
RENAMED = ("QXAE", "QXAF", 500)

# (symbol, sessions back of the value, field, sessions back of its correction); the first is the script's.
MISTAKES = (
    ("QXAC", 3, "close", 2),
    ("QXAP", 60, "volume", 58),
    ("99903.HK", 30, "close", 28),
)

SPOILED = (
    ("QXAJ", 45, "null_row"),
    ("QXAK", 52, "saturday_row"),
    ("QXAL", 67, "zero_price"),
    ("QXAM", 81, "high_below_low"),
    ("QXAN", 96, "duplicate_date"),
    ("QXAO", 110, "negative_volume"),
    ("99902.HK", 70, "saturday_row"),
    ("991Q.T", 75, "duplicate_date"),
)
