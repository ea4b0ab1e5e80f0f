"""Facts, concepts and filings as they were public at a moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reader.filed_lake import ACME, KNOWN, NEW, commit, filed_lake, frame_of, instant, value

import quantx
from quantx.core.fact_tables import FUNDAMENTALS
from quantx.core.fundamentals.newest import RANK, last_versions, newest_values, values_by_day
from quantx.core.tables import ACTIONS
from quantx.errors import ConfigError, IncompleteData, InvalidSymbol, NotInLake
from quantx.reader import Lake


@pytest.fixture(scope="session")
def filed(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = filed_lake(tmp_path_factory.mktemp("filed") / "lake")
    split = ("yahoo", "ACME", date(2024, 7, 15), "split", 10.0, None, None, "raw1", KNOWN)
    commit(folder, ACTIONS, pl.DataFrame([split], schema=dict(ACTIONS.schema), orient="row"))
    return quantx.open_lake(folder)


def revenue(lake: Lake, symbol: str | int = "ACME", **how: Any) -> dict[str, float | None]:
    rows = lake.fundamentals(symbol, "revenue", **how)
    return {str(end): amount for end, amount in rows.select("end", "value").iter_rows()}


# --------------------------------------------------------------------------------------------------------------- clocks


def test_each_period_has_its_last_version(filed: Lake) -> None:
    expected = {"2023-12-31": 90.0, "2024-03-31": 101.0, "2024-06-30": 120.0, "2024-09-30": None}
    assert revenue(filed, source="sec") == expected
    rows = filed.fundamentals("ACME", "revenue", source="sec")
    assert rows["reason"].to_list() == [None, None, None, "no_tag"]
    assert rows.columns[:5] == ["symbol", "concept", "period", "start", "end"]
    assert rows["filer"].unique().to_list() == ["CIK0000001001"]


@pytest.mark.parametrize(
    ("moment", "q1"),
    [
        ("2024-05-02", None),  # accepted at 16:05 in New York: not public before the close
        ("2024-05-02T20:04:59", None),
        ("2024-05-02T20:05:00", 100.0),
        ("2024-05-03", 100.0),
        (date(2024, 7, 31), 100.0),
        ("2024-08-01T13:59:59", 100.0),
        ("2024-08-01", 101.0),  # at 10:00 in New York, before the close
    ],
)
def test_a_date_means_before_the_close_in_new_york(filed: Lake, moment: str | date, q1: float | None) -> None:
    assert revenue(filed, source="sec", public_by=moment).get("2024-03-31") == q1


def test_a_day_without_a_session_ends_at_midnight_in_new_york(filed: Lake) -> None:
    saturday = filed.filings("ACME", public_by="2024-11-02")
    assert saturday["public_at"].max() == instant("2024-11-02 14:00")
    assert filed.filings("ACME", public_by="2024-11-01")["public_at"].max() == instant("2024-11-01 14:00")


def test_our_clock_is_another_one(filed: Lake, tmp_path: Path) -> None:
    """A vendor corrects its own filing in 2026: `as_of` shows what was stored, whatever is public."""
    first, later = instant("2026-01-05 00:00"), instant("2026-02-01 00:00")
    old = value("2024-03-31", 99.0, "2024-05-02 20:05")
    commit(tmp_path, FUNDAMENTALS, frame_of(FUNDAMENTALS, [{**old, "value": 100.0, "known_from": later}]))
    replaced = frame_of(FUNDAMENTALS, [{**old, "known_from": first}])
    commit(tmp_path, FUNDAMENTALS.revisions, replaced.with_columns(pl.lit(later).alias("known_to")))
    lake = quantx.open_lake(tmp_path)
    assert revenue(lake, ACME) == {"2024-03-31": 100.0}
    assert revenue(lake, ACME, as_of="2026-01-10") == {"2024-03-31": 99.0}
    assert revenue(lake, ACME, as_of="2026-01-10", public_by="2024-05-03T00:00") == {"2024-03-31": 99.0}
    with pytest.warns(IncompleteData, match="after as_of"):
        assert revenue(lake, ACME, as_of="2026-01-01") == {}
    with pytest.warns(IncompleteData, match="after public_by"):
        assert revenue(lake, ACME, public_by="2024-05-02T00:00") == {}


# -------------------------------------------------------------------------------------------------------------- sources


def test_the_preferred_source_counts_once_it_is_public(filed: Lake) -> None:
    assert revenue(filed)["2024-03-31"] == 101.0
    assert revenue(filed)["2022-12-31"] == 70.0  # only fmp has it
    assert revenue(filed, public_by="2024-05-01")["2024-03-31"] == 100.5
    assert revenue(filed, public_by="2024-05-03")["2024-03-31"] == 100.0
    assert revenue(filed, source="fmp")["2024-03-31"] == 100.5
    with pytest.raises(NotInLake, match="no fundamentals of the source 'yahoo'"):
        revenue(filed, source="yahoo")


# --------------------------------------------------------------------------------------------------------------- filers


def test_a_filer_is_requested_by_its_number_too(filed: Lake) -> None:
    own = revenue(filed, source="sec")
    assert revenue(filed, ACME) == revenue(filed, "CIK0000001001") == revenue(filed, " 1001 ") == own


def test_a_reorganised_filer_is_joined_up_to_the_day_on_which_it_lost_the_symbol(filed: Lake) -> None:
    assert revenue(filed, "MOVE") == {"2020-12-31": 5.0, "2021-06-30": 8.0}
    rows = filed.fundamentals("MOVE")
    assert rows["filer"].to_list() == ["CIK0000002001", "CIK0000002002"]
    assert rows["symbol"].unique().to_list() == ["MOVE"]


def test_a_symbol_that_was_free_for_years_is_another_company(filed: Lake) -> None:
    assert revenue(filed, "REUSE") == revenue(filed, NEW) == {"2021-06-30": 8.0}
    with pytest.warns(IncompleteData, match="REUSE"):
        filed.filings("REUSE", on="2009-01-01")


def test_several_symbols_of_one_filer_have_their_own_rows(filed: Lake) -> None:
    rows = filed.fundamentals(["MOVE", "REUSE", NEW], "revenue")
    assert rows["symbol"].unique(maintain_order=True).to_list() == ["CIK0000002002", "MOVE", "REUSE"]
    assert rows.filter(pl.col("value") == 8.0).height == 3


def test_unknown_names_are_an_error_and_silent_ones_a_warning(filed: Lake) -> None:
    with pytest.raises(NotInLake, match=r"no filer or symbol ACMA \(did you mean ACME\?\)"):
        filed.fundamentals("ACMA")
    with pytest.raises(NotInLake, match="CIK0000000099"):
        filed.facts(99)
    with pytest.raises(ConfigError, match=r"unknown concept 'revenues' \(did you mean revenue or"):
        filed.fundamentals("ACME", "revenues")
    with pytest.raises(InvalidSymbol):
        filed.filings("no symbol")
    for query in (filed.fundamentals, filed.facts, filed.filings, filed.earnings_dates):
        with pytest.warns(IncompleteData, match="SILENT"):
            assert query("SILENT").is_empty()
    with pytest.raises(ConfigError, match="period='year'"):
        filed.fundamentals("ACME", period="year")  # type: ignore[arg-type]


def test_a_lake_without_filings_says_how_to_get_them(lake: Lake) -> None:
    with pytest.warns(IncompleteData, match="quantx fundamentals update"):
        assert lake.fundamentals("AAA").columns[0] == "symbol"


# --------------------------------------------------------------------------------------------------------------- shapes


def test_wide_has_a_column_per_concept(filed: Lake) -> None:
    rows = filed.fundamentals("ACME", ["revenue", "eps_diluted"], source="sec", wide=True, end="2024-03-31")
    assert rows.to_dicts() == [
        _row("2023-12-31", "2024-02-01 21:30", revenue=90.0, eps_diluted=None),
        _row("2024-03-31", "2024-08-01 14:00", revenue=101.0, eps_diluted=7.0),
    ]


def _row(end: str, public: str, **values: float | None) -> dict[str, Any]:
    return {
        "symbol": "ACME",
        "period": "quarter",
        "end": date.fromisoformat(end),
        "public_at": instant(public),
        **values,
    }


def test_shares_are_restated_by_later_splits_on_request_only(filed: Lake) -> None:
    def shown(**how: Any) -> list[float]:
        return filed.fundamentals(
            "ACME", ["eps_diluted", "shares_diluted", "revenue"], end="2024-03-31", source="sec", **how
        )["value"].to_list()

    assert shown() == [7.0, 90.0, 101.0, 50.0]
    assert shown(per_share_basis="split") == [0.7, 90.0, 101.0, 500.0]
    before = shown(per_share_basis="split", public_by="2024-07-12")  # the split was not public
    assert before == [7.0, 90.0, 100.0, 50.0]


def test_facts_are_all_reports_of_a_period(filed: Lake) -> None:
    rows = filed.facts("ACME", "us-gaap:Revenues")
    assert rows["value"].to_list() == [100.0, 101.0]
    assert rows["cik"].to_list() == [ACME, ACME]
    assert filed.facts("ACME", ["Assets"], start="2024-03-31", forms="10-Q").height == 1
    assert filed.facts("ACME", public_by="2024-05-03").height == 2
    with pytest.warns(IncompleteData):
        assert filed.facts("ACME", "ifrs-full:Revenues").is_empty()


def test_earnings_dates_are_those_of_item_2_02(filed: Lake) -> None:
    rows = filed.earnings_dates("ACME").select("date", "when", "session").rows()
    assert rows == [
        (date(2004, 5, 3), "before", date(2004, 5, 3)),  # item 12 of that time
        (date(2024, 5, 2), "after", date(2024, 5, 3)),
        (date(2024, 8, 1), "before", date(2024, 8, 1)),
        (date(2024, 11, 1), "during", date(2024, 11, 1)),
        (date(2024, 11, 2), "closed", date(2024, 11, 4)),
    ]
    assert filed.filings("ACME", "8-K", items="9.01", start="2024-05-03").height == 2


# --------------------------------------------------------------------------------------------------------------- panels


def test_a_panel_shows_what_was_public_before_each_close(filed: Lake) -> None:
    panel = filed.panel("revenue", symbols=["ACME", "MOVE"], start="2024-05-01", end="2024-11-05")
    values = dict(panel.select("date", "ACME").iter_rows())
    assert values[date(2024, 5, 1)] == 100.5  # of fmp, before the filing
    assert values[date(2024, 5, 2)] == 100.5
    assert values[date(2024, 5, 3)] == 100.0
    assert values[date(2024, 7, 31)] == 100.0
    assert values[date(2024, 8, 1)] == 120.0  # not the first quarter, which the same filing restates
    assert values[date(2024, 11, 1)] is None  # the newest quarter has no value
    assert panel["MOVE"].unique().to_list() == [8.0]
    assert panel.height == filed.panel("revenue_ttm", symbols="ACME", start="2024-05-01", end="2024-11-05").height
    with pytest.raises(ConfigError, match=r"unknown field 'revenu_ttm' \(did you mean"):
        filed.panel("revenu_ttm", symbols="ACME")


@pytest.mark.parametrize("source", [None, "sec"])
def test_a_panel_of_concepts_equals_the_query_of_each_day(filed: Lake, source: str | None) -> None:
    panel = filed.panel("revenue", symbols=["ACME"], start="2024-02-02", end="2024-12-31", source=source)
    for day, shown in panel.gather_every(7).iter_rows():
        rows = filed.fundamentals("ACME", "revenue", public_by=day, source=source)
        assert rows["value"].to_list()[-1] == shown, day


VERSIONS = st.lists(
    st.tuples(
        st.sampled_from(["A", "B"]),
        st.integers(0, 5),  # the period's end
        st.integers(0, 40),  # hours until it is public
        st.integers(0, 1),  # the rank of the source
        st.integers(0, 3),  # the accession
    ),
    max_size=25,
    unique_by=lambda row: (row[0], row[1], row[3], row[4]),
)


@given(VERSIONS)
def test_steps_equal_a_naive_replay_at_each_instant(drawn: list[tuple[str, int, int, int, int]]) -> None:
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    rows = pl.DataFrame(
        [
            (s, date(2024, 1, 1) + timedelta(days=e), begin + timedelta(hours=h), rank, str(a), float(n))
            for n, (s, e, h, rank, a) in enumerate(drawn)
        ],
        schema={
            "symbol": pl.String,
            "end": pl.Date,
            "public_at": pl.Datetime("us", "UTC"),
            RANK: pl.Int32,
            "accession": pl.String,
            "value": pl.Float64,
        },
        orient="row",
    )
    closes = [begin + timedelta(hours=h) for h in range(0, 45, 3)]
    found = values_by_day(newest_values(rows), pl.DataFrame({"close": closes}), ["A", "B"], "value")
    for n, close in enumerate(closes):
        public = rows.filter(pl.col("public_at") < close)
        newest = last_versions(public, ["symbol", "end"]).group_by("symbol", maintain_order=True).last()
        naive = dict(newest.select("symbol", "value").iter_rows())
        assert found.row(n) == (naive.get("A"), naive.get("B"))
    for (symbol, end), of_key in rows.group_by("symbol", "end"):
        best = [r for r in of_key.iter_rows(named=True) if r[RANK] == of_key[RANK].min()]
        last = max(best, key=lambda r: (r["public_at"], r["accession"]))
        kept = last_versions(rows, ["symbol", "end"]).filter(pl.col("symbol") == symbol, pl.col("end") == end)
        assert kept["value"].to_list() == [last["value"]]


# ------------------------------------------------------------------------------------------------ SQL and the inventory


@pytest.mark.filterwarnings("ignore::quantx.errors.IncompleteData")
@pytest.mark.parametrize("moment", [None, "2024-05-02", "2024-05-03", "2024-08-01T13:59:59Z", "2024-11-02"])
def test_sql_by_symbol_equals_the_query(filed: Lake, moment: str | None) -> None:
    view = "fundamentals_by_symbol" if moment is None else f"fundamentals_public_by('{moment}')"
    found = filed.sql(f'SELECT * FROM {view} ORDER BY symbol, concept, "end", period')
    symbols = ["ACME", "MOVE", "REUSE"]
    parts = [filed.fundamentals(symbols, period=period, public_by=moment) for period in ("quarter", "ttm")]
    expected = pl.concat(parts).sort("symbol", "concept", "end", "period")
    assert found.columns == expected.columns
    assert found.select("symbol", "concept", "end", "value", "source", "filer").rows() == (
        expected.select("symbol", "concept", "end", "value", "source", "filer").rows()
    )


def test_the_inventory_knows_the_tables(filed: Lake) -> None:
    tables = dict(filed.tables().select("table", "first").iter_rows())
    assert tables["fundamentals"] == date(2021, 3, 1)
    assert {"fundamentals_facts", "filings", "filer_symbols"} <= set(tables)
    sources = filed.sources().filter(pl.col("table") == "fundamentals")
    assert sources["source"].to_list() == ["fmp", "sec"]
    assert filed.scan("filings", symbols=ACME, start="2024-06-01", end="2024-12-31").collect().height == 4
    assert "fundamentals" in repr(filed)


def test_changes_of_facts_in_our_clock(filed: Lake) -> None:
    rows = filed.changes("2025-12-31", "MOVE", table="fundamentals")
    assert rows.select("change", "symbol", "kind", "after").rows() == [
        ("new", "CIK0000002001", "revenue_quarter", 5.0),
        ("new", "CIK0000002001", "revenue_quarter", 6.0),
        ("new", "CIK0000002002", "revenue_quarter", 8.0),
    ]
    assert filed.changes("2025-12-31", ACME, table="filings")["kind"].unique().sort().to_list() == ["10-Q", "8-K"]
    assert filed.changes("2026-01-01T00:00", table="fundamentals_facts").is_empty()
    with pytest.raises(ConfigError, match="table='bars'"):
        filed.changes("2025-12-31", table="bars")


def test_a_pinned_and_a_snapshot_lake_read_facts(filed: Lake) -> None:
    with filed.pin() as pinned:
        assert revenue(pinned)["2024-06-30"] == 120.0
    snapshot = filed.snapshot("facts")
    assert revenue(snapshot) == revenue(filed)
    assert quantx.provenance(filed.fundamentals("ACME", "revenue", public_by="2024-05-03")).public_by == "2024-05-03"
