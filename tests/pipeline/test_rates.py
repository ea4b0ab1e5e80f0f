"""Published rates from the wire to the reader: corrections, rejected rows, findings, and prices in other currencies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.errors import ConfigError, IncompleteData, NotInLake
from quantx.pipeline.inspecting.rates import check_rates
from quantx.pipeline.planning.rates import plan_rates
from quantx.pipeline.planning.triggers import plan_request
from quantx.pipeline.planning.update_request import UpdateRequest
from quantx.pipeline.reporting.manifest import manifest_of
from quantx.pipeline.reprocessing.quarantine import accept, rejected_rows, show
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.wiring import reprocessor_of
from quantx.providers.ecb import Ecb
from quantx.providers.http import HttpReply
from quantx.providers.treasury import Treasury
from quantx.reader.lake import Lake, lake_of
from quantx.reader.point_in_time import PointInTime
from quantx.state.database import Database

Yields = dict[date, Mapping[str, float | str]]
FRIDAY = date(2024, 1, 12)
TENORS = ("3 Mo", "6 Mo", "1 Yr", "2 Yr", "3 Yr", "5 Yr", "7 Yr", "10 Yr", "30 Yr")


@dataclass
class Publishers:
    """Both publishers in memory: what they show, and what was requested."""

    now: Callable[[], datetime]
    yields: Yields = field(default_factory=dict)
    columns: tuple[str, ...] = TENORS
    euro: dict[date, Mapping[str, float]] = field(default_factory=dict)
    page: bytes | None = None  # in place of every document
    asked: list[str] = field(default_factory=list)

    def get(self, path: str, params: Mapping[str, str]) -> HttpReply:
        name = path.rpartition("/")[2]
        self.asked.append(params.get("field_tdr_date_value", name))
        body = self.page or (self._xml() if name.endswith(".xml") else self._csv(int(params["field_tdr_date_value"])))
        url = f"https://publisher.example{path}"
        return HttpReply(url=url, status=200, content_type="text/plain", body=body, vendor_time=self.now())

    def prepare(self) -> None:
        """Nothing has to be loaded."""

    def _csv(self, year: int) -> bytes:
        lines = ["Date," + ",".join(f'"{name}"' for name in self.columns)]
        for day in sorted((day for day in self.yields if day.year == year), reverse=True):
            cells = (str(self.yields[day].get(name, "")) for name in self.columns)
            lines.append(f"{day:%m/%d/%Y}," + ",".join(cells))
        return ("\n".join(lines) + "\n").encode()

    def _xml(self) -> bytes:
        days = "".join(
            f'<Cube time="{day}">'
            + "".join(f'<Cube currency="{code}" rate="{rate}"/>' for code, rate in rates.items())
            + "</Cube>"
            for day, rates in sorted(self.euro.items(), reverse=True)
        )
        return f'<?xml version="1.0"?><Envelope><Cube>{days}</Cube></Envelope>'.encode()


@pytest.fixture
def desk(open_desk: Callable[[Database, Path], Any], database: Database, tmp_path: Path) -> Iterator[Any]:
    """A desk on Friday 2024-01-12 at midnight in UTC: both publishers have issued the rates of that day."""
    desk = open_desk(database, tmp_path / "lake")
    desk.clock.at = datetime(2024, 1, 12, 23, 30, tzinfo=UTC)
    return desk


@pytest.fixture
def publishers(desk: Any) -> Publishers:
    days = [date(2024, 1, day) for day in (8, 9, 10, 11, 12)]
    yields: Yields = {day: {"3 Mo": 5.40, "2 Yr": 4.36, "10 Yr": 4.01} for day in days}
    return Publishers(desk.clock.now, yields, euro={day: {"USD": 1.0946, "JPY": 158.0, "GBP": 0.86} for day in days})


def update(desk: Any, publishers: Publishers, source: str | None = None, **how: Any) -> Platform:
    providers = {
        **desk.platform.providers,
        "treasury": Treasury(publishers, desk.clock),  # type: ignore[arg-type]
        "ecb": Ecb(publishers, desk.clock),  # type: ignore[arg-type]
    }
    platform: Platform = desk.with_(providers=providers)
    publishers.asked.clear()
    desk.work(plan_rates(platform, source, **({"start": date(2024, 1, 8)} | how)), platform)
    return platform


def lake(platform: Platform) -> Lake:
    return lake_of(platform.settings)


def test_documents_go_from_the_wire_to_the_reader(desk: Any, publishers: Publishers) -> None:
    platform = update(desk, publishers)
    assert sorted(publishers.asked) == ["2024", "eurofxref-hist-90d.xml"]
    folders = {"/".join(path.split("/")[1:3]) for path in platform.location.paths("raw")}
    assert folders == {"source=treasury/dataset=rates", "source=ecb/dataset=fx_rates"}
    rates = lake(platform).rates("UST", start=FRIDAY)
    assert rates.columns == ["date", "3m", "2y", "10y", "source", "public_at", "known_from"]
    assert rates.rows()[0][:5] == (FRIDAY, 5.40, 4.36, 4.01, "treasury")
    assert rates["public_at"].to_list() == [datetime(2024, 1, 12, 23, tzinfo=UTC)]
    euro = lake(platform).fx(["EURUSD", "USDJPY"], FRIDAY)
    assert euro.select("pair", "how").rows() == [("EURUSD", "quoted"), ("USDJPY", "cross")]
    assert euro["rate"].to_list() == [1.0946, pytest.approx(158 / 1.0946)]
    sums = lake(platform).sql("select quote, count(*) as days from fx_rates group by quote order by quote")
    assert sums.rows() == [("GBP", 5), ("JPY", 5), ("USD", 5)]
    shown = manifest_of(platform.tables, platform.state.series, platform.state.gaps, "lake")["series"]
    assert {row["symbol"]: row["rows"] for row in shown} == {"UST": 15, "EUR": 15}


def test_an_update_is_idempotent_and_later_ones_need_one_document_each(desk: Any, publishers: Publishers) -> None:
    update(desk, publishers)
    update(desk, publishers)
    assert publishers.asked == []
    desk.clock.at = datetime(2024, 1, 16, 15, 30, tzinfo=UTC)  # the Monday was a holiday in America
    publishers.euro[date(2024, 1, 15)] = publishers.euro[date(2024, 1, 16)] = {"USD": 1.09}
    platform = update(desk, publishers)
    assert publishers.asked == ["eurofxref-hist-90d.xml"]
    assert lake(platform).fx("EURUSD", "2024-01-15")["date"].to_list() == [date(2024, 1, 15), date(2024, 1, 16)]


def test_a_publisher_that_is_late_is_asked_again_after_an_hour(desk: Any, publishers: Publishers) -> None:
    late = publishers.yields.pop(FRIDAY)
    update(desk, publishers, "treasury")
    update(desk, publishers, "treasury")
    assert publishers.asked == []
    publishers.yields[FRIDAY] = late
    desk.clock.at += timedelta(hours=1, minutes=1)
    platform = update(desk, publishers, "treasury")
    assert publishers.asked == ["2024"]
    assert lake(platform).rates("UST", start=FRIDAY).height == 1


def test_a_history_is_planned_by_ten_years_and_a_year_at_new_year(desk: Any, publishers: Publishers) -> None:
    platform = update(desk, publishers, "treasury", start=date(2010, 6, 1))
    windows = desk.sql("select window_start, window_end from tasks order by window_start")
    assert [(row["window_start"].year, row["window_end"]) for row in windows] == [
        (2010, date(2014, 12, 31)),
        (2015, FRIDAY),
    ]
    assert len(publishers.asked) == 15
    assert lake(platform).rates().height == 5
    desk.clock.at = datetime(2025, 1, 3, 23, 30, tzinfo=UTC)
    update(desk, publishers, "treasury", start=None)
    assert "2025" in publishers.asked


def test_a_corrected_yield_is_a_revision(desk: Any, publishers: Publishers) -> None:
    update(desk, publishers)
    before = desk.clock.at + timedelta(minutes=1)
    desk.clock.at = datetime(2024, 1, 16, 23, 30, tzinfo=UTC)
    publishers.yields[FRIDAY] = {"3 Mo": 5.40, "2 Yr": 4.14, "10 Yr": 3.96}
    publishers.yields[date(2024, 1, 16)] = {"10 Yr": 4.07}
    platform = update(desk, publishers, "treasury")
    read = lake(platform)
    assert read.rates("UST", "10y", FRIDAY, FRIDAY)["10y"].to_list() == [3.96]
    assert read.rates("UST", "10y", FRIDAY, FRIDAY, as_of=before)["10y"].to_list() == [4.01]
    assert read.rates("UST", "10y", FRIDAY, public_by="2024-01-13")["10y"].to_list() == [3.96]
    with pytest.warns(IncompleteData, match="none that were known or public then"):
        assert read.rates("UST", "10y", FRIDAY, FRIDAY, public_by="2024-01-12T22:59Z").is_empty()
    assert desk.rows("rates_revisions").select("tenor", "value").rows() == [("10y", 4.01), ("2y", 4.36)]
    why = read.explain("UST", FRIDAY, field="rates:10y")
    assert (why.value, why.unit, why.reply.place, why.reply.text) == (  # type: ignore[union-attr]
        3.96, "percent", "line 3", "01/12/2024,5.4,,,4.14,,,,3.96,",
    )  # fmt: skip
    assert "until 2024-01-16 23:30:00 UTC: 4.01" in repr(why)
    assert "no rates:10y" in read.explain("UST", "2024-01-15", field="rates:10y").headline()


def test_a_rate_out_of_range_waits_in_quarantine_for_a_decision(desk: Any, publishers: Publishers) -> None:
    publishers.yields[FRIDAY] = {"2 Yr": 436, "10 Yr": 4.01}
    publishers.euro[FRIDAY] = {"USD": 0.0, "JPY": 158.0}
    platform = update(desk, publishers)
    rows = rejected_rows(platform.tables).sort("source").to_dicts()
    assert [(row["dataset"], row["rules"], row["date"]) for row in rows] == [
        ("fx_rates", "fx_rate_in_range", FRIDAY),
        ("rates", "yield_in_range", FRIDAY),
    ]
    assert lake(platform).rates("UST", start=FRIDAY)["10y"].to_list() == [4.01]
    assert lake(platform).fx("EURUSD", FRIDAY, fill=3)["rate_date"].to_list() == [date(2024, 1, 11)]
    places = [show(platform.tables, platform.location, row["id"])["payload"]["excerpt"] for row in rows]
    assert places == ['<Cube currency="USD" rate="0.0"/>', "01/12/2024,,,,436,,,,4.01,"]
    accept(reprocessor_of(platform), rows[1]["id"], "an experiment", "ada")
    assert lake(platform).rates("UST", "2y", FRIDAY)["2y"].to_list() == [436.0]


def test_a_day_with_two_values_and_a_day_to_come_are_rejected(desk: Any, publishers: Publishers) -> None:
    csv = b'Date,"2 Yr","10 Yr"\n01/11/2024,4.3,4.0\n01/11/2024,4.3,4.1\n01/16/2024,4.3,4.0\n01/13/2024,4.3,4.0\n'
    publishers.page = csv
    platform = update(desk, publishers, "treasury")
    rules = {(row["date"], row["rules"]) for row in rejected_rows(platform.tables).to_dicts()}
    assert rules == {
        (date(2024, 1, 11), "rate_once_per_document"),
        (date(2024, 1, 16), "rate_day_possible"),
        (date(2024, 1, 13), "rate_day_possible"),  # a Saturday
    }
    assert desk.rows("rates").select("date", "tenor").rows() == [(date(2024, 1, 11), "2y")]


def test_a_page_in_place_of_a_document_is_evidence_and_changes_nothing(desk: Any, publishers: Publishers) -> None:
    publishers.page = b"<!DOCTYPE html><html>Scheduled maintenance</html>"
    platform = update(desk, publishers, "treasury")
    task = desk.task("UST")
    assert (task["state"], task["error_class"]) == ("failed", "MalformedPayload")
    assert rejected_rows(platform.tables)["rules"].unique().to_list() == ["payload_readable"]
    with pytest.raises(NotInLake, match="`quantx rates update` fetches them"):
        lake(platform).rates("UST")
    publishers.page = None
    platform = update(desk, publishers, "treasury")
    assert lake(platform).rates("UST").height == 5


def test_a_new_column_is_a_finding(desk: Any, publishers: Publishers) -> None:
    publishers.columns = (*TENORS, "50 Yr", "Extrapolation Factor")
    platform = update(desk, publishers, "treasury")
    found = platform.state.findings.listed(None, rule="field_added")
    assert {row["subject"] for row in found} == {"[].50 Yr", "[].Extrapolation Factor"}


def test_missing_days_and_jumps_are_findings_until_a_document_has_them(desk: Any, publishers: Publishers) -> None:
    whole = dict(publishers.yields)
    del publishers.yields[date(2024, 1, 10)]
    publishers.yields[date(2024, 1, 11)] = {"3 Mo": 5.40, "2 Yr": 4.36, "10 Yr": 14.01}
    platform = update(desk, publishers, "treasury")
    findings = platform.state.findings
    assert check_rates(platform.tables, findings) == (2, 0)
    found = {
        row["rule"]: row
        for row in findings.listed(None)
        if row["status"] == "open" and row["rule"] in ("rate_day_missing", "yield_jump")
    }
    assert found["rate_day_missing"]["facts"]["missing"] == ["2024-01-10"]
    assert found["yield_jump"]["facts"]["seen"] == [
        "10y 2024-01-12: 4.01 after 14.01",
        "10y 2024-01-11: 14.01 after 4.01",
    ]
    publishers.yields = whole
    desk.clock.at += timedelta(hours=2)
    platform = update(desk, publishers, "treasury", again=True)
    assert check_rates(platform.tables, findings) == (0, 2)


def test_the_tables_are_derived_again_from_the_documents(desk: Any, publishers: Publishers) -> None:
    publishers.euro[FRIDAY] = {"USD": -1.0, "JPY": 158.0}
    platform = update(desk, publishers)
    before = {name: desk.rows(name) for name in ("rates", "fx_rates")}
    assert not reprocessor_of(platform).reprocess().left
    assert all(desk.rows(name).equals(rows) for name, rows in before.items())


def test_bars_are_shown_in_another_currency(desk: Any, publishers: Publishers) -> None:
    del publishers.euro[date(2024, 1, 10)]
    desk.work(desk.backfill("AAA", start="2024-01-08"))
    platform = update(desk, publishers, "ecb")
    read = lake(platform)
    usd = read.bars("AAA", "2024-01-09", "2024-01-12", columns=["date", "close", "currency"])
    eur = read.bars("AAA", "2024-01-09", "2024-01-12", currency="eur")
    assert eur.columns[-4:] == ["currency", "fx_rate", "fx_date", "fx_source"]
    assert eur["close"].to_list() == pytest.approx([close / 1.0946 for close in usd["close"]])
    assert eur["fx_date"].to_list() == [date(2024, 1, 9), date(2024, 1, 9), date(2024, 1, 11), date(2024, 1, 12)]
    assert (eur["fx_source"].unique().to_list(), eur["currency"].unique().to_list()) == (["ecb"], ["EUR"])
    unnamed = usd.with_columns(symbol=pl.lit("^HSI"), currency=pl.lit(None, pl.String))
    with pytest.warns(IncompleteData, match=r"names no currency of \^HSI: the prices in EUR are null"):
        assert read._converted(unnamed, "EUR", PointInTime.parse(None, None))["close"].null_count() == unnamed.height
    panel = read.panel("close", symbols=["AAA"], start="2024-01-12", currency="EUR")
    assert panel["AAA"].to_list() == eur["close"].to_list()[-1:]
    early = read.bars("AAA", "2024-01-12", currency="EUR", public_by=datetime(2024, 1, 12, 21, 30, tzinfo=UTC))
    assert early["fx_date"].to_list() == [FRIDAY]  # public at 15:00, before New York's close
    assert json.loads(json.dumps(read.fx("EURUSD", FRIDAY)["rate"].to_list())) == [1.0946]


def test_wrong_arguments_have_clear_errors(desk: Any, publishers: Publishers) -> None:
    platform = update(desk, publishers)
    read = lake(platform)
    with pytest.raises(ConfigError, match="UST has no tenor '10yr'"):
        read.rates("UST", "10yr")
    with pytest.raises(NotInLake, match="the lake has no BUND; it has UST"):
        read.rates("BUND")
    with pytest.raises(ConfigError, match="lies after the end"):
        read.fx("EURUSD", FRIDAY, "2024-01-11")
    with pytest.raises(NotInLake, match="no exchange rate of TWD"):
        read.fx("TWDUSD")
    with pytest.raises(ConfigError, match="fill=8 must be"):
        read.fx("EURUSD", fill=8)
    with pytest.raises(ConfigError, match="use lake\\.rates"):
        read.dataset_rows("rates", "UST")
    with pytest.raises(ConfigError, match="alpaca publishes no rates"):
        plan_rates(platform, "alpaca")
    with pytest.raises(ConfigError, match="is not public yet"):
        plan_rates(platform, "ecb", start=date(2024, 1, 15))


def test_a_run_of_rates_is_no_daily_update_and_comes_with_one_where_the_setting_says_so(
    desk: Any, publishers: Publishers
) -> None:
    update(desk, publishers, start=None)
    (run,) = desk.sql("select kind, request from runs")
    assert (run["kind"], run["request"]) == ("manual", {"symbols": ["UST", "EUR"]})
    desk.clock.at = datetime(2024, 1, 17, 23, 30, tzinfo=UTC)
    platform = update(desk, publishers, "ecb", start=None)
    for rates, tasks in ((False, []), (True, [("rates", "UST")])):
        settings = platform.settings.model_copy(update={"rates": rates})
        plan = plan_request(replace(platform, settings=settings), UpdateRequest(symbols=("AAA",), lookback_days=0))
        planned = desk.sql(
            "select dataset, symbol from tasks where id = any(%s) and dataset <> 'bars'", [*plan.task_ids]
        )
        assert [(row["dataset"], row["symbol"]) for row in planned] == tasks
