"""Features of universes and of fundamentals: members as of each date, and facts as they were public."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from quantx.core.fact_tables import FILER_SYMBOLS, FUNDAMENTALS
from quantx.core.features.sets import SETS
from quantx.core.tables import BARS_1D, UNIVERSE_MEMBERS
from quantx.errors import IncompleteData

from .site import DAYS, KNOWN, FeatureSite, bars_of, member

SYMBOLS = ("AAA", "BBB", "CCC", "DEAD")
END, LEFT, JOINED = DAYS[299], DAYS[199], DAYS[99]


@pytest.fixture
def site(tmp_path: Path) -> FeatureSite:
    """A universe of four: CCC joins, BBB leaves, and the bars of DEAD end."""
    site = FeatureSite(tmp_path / "lake")
    rows = [bars_of(symbol, n, DAYS[:300]) for n, symbol in enumerate(SYMBOLS)]
    site.commit(BARS_1D, pl.concat(rows).filter((pl.col("symbol") != "DEAD") | (pl.col("date") <= DAYS[149])))
    members = [member("u", "AAA"), member("u", "BBB", None, LEFT), member("u", "CCC", JOINED), member("u", "DEAD")]
    site.commit(UNIVERSE_MEMBERS, pl.concat(members))
    return site


def test_a_cross_section_has_the_members_of_each_date(site: FeatureSite) -> None:
    site.build()
    built = site.build("cross_section")
    rows = site.lake().features("return_5_rank", universe="u")
    assert built.rows == rows.height
    on = dict(rows.group_by("date").agg(pl.col("symbol").sort()).iter_rows())
    assert on[DAYS[50]] == ["AAA", "BBB", "DEAD"]
    assert on[DAYS[120]] == ["AAA", "BBB", "CCC", "DEAD"]
    assert on[DAYS[160]] == ["AAA", "BBB", "CCC"]
    assert on[DAYS[250]] == ["AAA", "CCC"]
    returns = site.lake().features("return_5", list(SYMBOLS[:3]), start=DAYS[160], end=DAYS[160])
    expected = returns.sort("return_5")["symbol"].to_list()
    ranks = rows.filter(pl.col("date") == DAYS[160]).sort("return_5_rank")
    assert ranks["symbol"].to_list() == expected
    assert ranks["return_5_rank"].to_list() == pytest.approx([1 / 6, 1 / 2, 5 / 6])


def test_a_cross_section_follows_bars_and_members(site: FeatureSite, tmp_path: Path) -> None:
    site.build()
    site.build("cross_section")
    more = [bars_of(symbol, n, DAYS[:310]) for n, symbol in enumerate(SYMBOLS[:3])]
    site.commit(BARS_1D, pl.concat(more).filter(pl.col("date") > END))
    site.build()
    assert site.build("cross_section").rows == 20  # ten sessions of two members
    site.commit(UNIVERSE_MEMBERS, UNIVERSE_MEMBERS.empty(), member("u", "BBB", None, DAYS[209]))
    done = site.build("cross_section")
    assert (done.rows, done.removed) == (10, 0)
    anew = site.copy(tmp_path / "anew")
    for name in ("technical", "cross_section"):
        anew.build(name)
    shown, expected = (each.lake().features("cross_section", universe="u") for each in (site, anew))
    assert shown.select("symbol", "date").equals(expected.select("symbol", "date"))
    for name in SETS["cross_section"].names:
        assert shown[name].is_null().equals(expected[name].is_null()), name
        assert ((shown[name] - expected[name]).abs().max() or 0) < 1e-9, name


def fact(
    concept: str, end: str, value: float, public: datetime, unit: str = "USD", period: str = "quarter"
) -> pl.DataFrame:
    given = {
        "source": "sec",
        "symbol": "CIK0000000001",
        "filer": "CIK0000000001",
        "concept": concept,
        "period": "quarter",
        "end": end,
        "value": value,
        "unit": "USD",
        "public_at": public,
        "filed": public.date(),
        "accession": f"{public:%Y%m%d}",
        "public_how": "accepted",
        "year": end.year,
        "raw": "raw1",
        "known_from": KNOWN,
    }
    columns = {name: given.get(name) for name in FUNDAMENTALS.schema}
    return pl.DataFrame([columns], schema=dict(FUNDAMENTALS.schema))


def test_a_row_is_public_with_the_last_member_of_its_date(tmp_path: Path) -> None:
    site = FeatureSite(tmp_path / "lake")
    days = DAYS[:40]  # in Hong Kong, too, as far as the test reads them
    site.commit(BARS_1D, pl.concat([bars_of("0005.HK", 1, days), bars_of("0700.HK", 2, days)]))
    site.commit(UNIVERSE_MEMBERS, pl.concat([member("w", "0005.HK"), member("w", "0700.HK")]))
    for name in ("technical", "cross_section"):
        site.build(name)
    at_noon = datetime.combine(days[30], time(12), UTC)
    read = partial(site.lake().features, "return_5_rank", universe="w")
    assert read(public_by=at_noon)["date"].max() == days[30]

    # A member of New York, without a value on its first day: the others keep their ranks, but not their time.
    site.commit(BARS_1D, bars_of("AAA", 3, days[30:]))
    site.commit(UNIVERSE_MEMBERS, member("w", "AAA", days[30]))
    for stored in (False, True):
        rows = read(start=days[30], end=days[30], stored=stored).filter(pl.col("symbol") != "AAA")
        assert [each.hour for each in rows["public_at"].unique()] == [21]
        with pytest.warns(IncompleteData, match="AAA"):  # its first bar is not public yet
            assert read(public_by=at_noon, stored=stored)["date"].max() == days[29]
        for name in ("technical", "cross_section"):
            site.build(name)


def test_a_fact_counts_from_the_first_close_after_it(site: FeatureSite) -> None:
    given = {"symbol": "AAA", "filer": "CIK0000000001", "evidence": "test", "known_from": KNOWN}
    row = {name: given.get(name) for name in FILER_SYMBOLS.schema}
    site.commit(FILER_SYMBOLS, pl.DataFrame([row], schema=dict(FILER_SYMBOLS.schema)))
    at = datetime(2019, 5, 1, 20, 30, tzinfo=UTC)  # half an hour after the close
    first = [fact("equity", date(2019, 3, 31), 50.0, at), fact("assets", date(2019, 3, 31), 200.0, at)]
    site.commit(FUNDAMENTALS, pl.concat(first))
    site.build("fundamental")
    lake = site.lake()
    rows = lake.features("leverage", "AAA")
    assert (rows["date"].min(), rows["leverage"][0]) == (date(2019, 5, 2), 4.0)
    restated = fact("equity", date(2019, 3, 31), 100.0, datetime(2019, 6, 3, 15, tzinfo=UTC))
    site.commit(FUNDAMENTALS, restated)
    assert lake.features("leverage", "AAA", start="2019-06-03")["leverage"][0] == 2.0  # before it is built
    done = site.build("fundamental")
    assert done.changed > 0
    rows = lake.features("leverage", "AAA", start="2019-05-31", end="2019-06-03")
    assert rows["leverage"].to_list() == [4.0, 2.0]
    assert site.build("fundamental").nothing


def test_labels_of_earlier_rows_use_new_bars(site: FeatureSite, tmp_path: Path) -> None:
    site.build("labels")
    more = [bars_of(symbol, n, DAYS[:303]) for n, symbol in enumerate(SYMBOLS[:3])]
    site.commit(BARS_1D, pl.concat(more).filter(pl.col("date") > END))
    done = site.build("labels")
    assert done.rows == 9
    assert done.changed == 30  # ten rows of each symbol have a label that ends in the three new bars
    anew = site.copy(tmp_path / "anew")
    anew.build("labels")
    wanted = list(SYMBOLS)
    shown, expected = (each.lake().features("labels", wanted).drop("known_from") for each in (site, anew))
    assert shown.equals(expected)
    assert shown["label_end"].drop_nulls().len() > 800
