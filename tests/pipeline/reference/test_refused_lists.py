"""Refused lists: the last good one stays, a finding has the reason, a person may override, the other lists go on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import obstore
import pytest

from quantx.errors import ConfigError
from quantx.pipeline.reference.universes import RefreshResult, refresh_universes
from quantx.reader.lake import Lake

from ...lists import Lists, cut_off, dripping, endless, serving

TWELVE = [f"S{letter}" for letter in "ABCDEFGHIJKL"]
GOOD = "symbol\n" + "\n".join(TWELVE) + "\n"


@dataclass
class Library:
    """A desk whose universe `web` is a CSV on a web server, and `own` stands in the declaration."""

    desk: Any
    lists: Lists
    folder: Path
    extra: str = ""
    seconds: float = 60.0

    def serve(self, body: Any) -> None:
        self.lists.pages["/web.csv"] = body.encode() if isinstance(body, str) else body

    def refresh(self, accept: str | None = None, name: str | None = None) -> dict[str, RefreshResult]:
        (self.folder / "u.yaml").write_text(
            "phases: {p: {own: {market: us, type: static, symbols: [AAA]},"
            f" web: {{market: us, type: csv, url: 'https://example.org/web.csv'{self.extra}}}}}}}"
        )
        settings = self.desk.platform.settings.model_copy(
            update={
                "universe_path": self.folder / "u.yaml",
                "universe_base_url": self.lists.url,
                "universe_timeout": self.seconds,
            }
        )
        platform = replace(self.desk.platform, settings=settings)
        self.desk.clock.at += timedelta(seconds=1)
        results = refresh_universes(platform, platform.tables, phase=None, name=name, accept=accept)
        return {r.universe: r for r in results}

    def members(self) -> list[str]:
        return Lake(self.desk.platform.location).universe("web")["symbol"].to_list()

    def findings(self, rule: str = "universe_refused", status: str | None = "open") -> list[dict[str, Any]]:
        return self.desk.platform.state.findings.listed(10, rule=rule, status=status)

    def kept(self) -> list[str]:
        location = self.desk.platform.location
        return sorted(o["path"] for page in obstore.list(location.store, "meta/snapshots/universe=web") for o in page)

    def decisions(self) -> list[dict[str, Any]]:
        return [json.loads(self.desk.platform.location.get(p)) for p in self.kept() if p.endswith(".json")]

    def tomorrow(self, day: int) -> None:
        self.desk.clock.at = datetime(2024, 2, day, 12, tzinfo=UTC)


@pytest.fixture
def library(desk: Any, tmp_path: Path) -> Iterator[Library]:
    with serving() as lists:
        library = Library(desk, lists, tmp_path)
        library.serve(GOOD)
        assert {r.decision for r in library.refresh().values()} == {"taken"}
        library.tomorrow(1)
        yield library


PAGE = "<!DOCTYPE html><html><head><title>Sorry</title></head><body>We are down</body></html>"
REFUSED: dict[str, tuple[Any, str]] = {
    "a third is missing": ("symbol\n" + "\n".join(TWELVE[:8]), r"4 of 12 members left at once \(SI, SJ, SK, SL\)"),
    "no rows": ("symbol\n", "has no members"),
    "nothing": ("", "it is empty"),
    "a renamed header": (GOOD.replace("symbol", "ticker"), "has no column 'symbol'; it has ticker"),
    "a page in place of the list": (PAGE, r"HTML page \(Sorry\)"),
    "a path": (GOOD + "../../etc\n", "invalid member"),
    "thrice as many": (
        "symbol\n" + "\n".join([*TWELVE, *(f"X{a}{b}" for a in "ABCDE" for b in "ABCDE")]),
        "25 joined 12",
    ),
    "other names": ("symbol\n" + "\n".join(f"Z{c}" for c in TWELVE), "12 of 12 members left"),
    "endless": (endless, "more than 20 MB"),
    "slow": (dripping, "within 1 s"),
    "cut off": (cut_off, "can't be read"),
    "a million empty rows": ("symbol\n" + "\n" * 1_000_000, "more than 200,000 rows"),
    "no text": (b"symbol\n\xff\xfe\n", "can't read"),
}


@pytest.mark.parametrize(("body", "why"), REFUSED.values(), ids=REFUSED)
def test_the_last_good_list_stays_and_the_others_go_on(library: Library, body: Any, why: str) -> None:
    before = library.desk.versions()
    library.serve(body)
    library.seconds = 1.0 if body is dripping else 60.0
    results = library.refresh()
    refused, own = results["web"], results["own"]
    assert (refused.decision, refused.members, own.decision) == ("refused", 12, "taken")
    assert library.members() == TWELVE
    assert library.desk.versions() == before
    (finding,) = library.findings()
    assert (finding["severity"], finding["subject"], finding["dataset"]) == ("error", "web", "universe")
    assert re.search(why, finding["message"])
    assert library.decisions()[-1]["decision"] == "refused"


def test_a_good_list_settles_the_finding(library: Library) -> None:
    library.serve(PAGE)
    library.refresh()
    library.serve(GOOD.replace("SL\n", ""))
    assert library.refresh()["web"].decision == "taken"
    assert library.findings() == []
    (settled,) = library.findings(status="resolved")
    assert settled["reason"] == "a list was accepted"


def test_a_person_may_take_a_list_that_is_not_believed_and_the_reason_is_kept(library: Library) -> None:
    library.serve("symbol\nSA\nSB\n")
    assert library.refresh()["web"].decision == "refused"
    taken = library.refresh(accept="the index was cut to two", name="web")["web"]
    assert (taken.decision, taken.members, taken.left) == ("accepted", 2, 10)
    assert library.members() == ["SA", "SB"]
    assert library.findings() == []
    decision = library.decisions()[-1]
    assert (decision["reason"], decision["decision"]) == ("the index was cut to two", "accepted")
    assert decision["left"] == TWELVE[2:]
    assert library.refresh()["web"].decision == "taken"


def test_what_can_not_be_read_can_not_be_accepted_and_no_reason_is_none(library: Library) -> None:
    library.serve(PAGE)
    assert library.refresh(accept="I like it", name="web")["web"].decision == "refused"
    with pytest.raises(ConfigError, match="reason to accept is empty"):
        library.refresh(accept=" ")


def test_each_document_is_kept_once_under_its_sha256_with_every_decision(library: Library) -> None:
    library.refresh()
    other = GOOD + "SM\n"
    library.serve(other)
    result = library.refresh()["web"]
    documents = [p for p in library.kept() if p.endswith(".csv")]
    assert len(documents) == 2
    assert result.snapshot in documents
    assert library.desk.platform.location.get(result.snapshot) == other.encode()
    decisions = library.decisions()
    assert [d["decision"] for d in decisions] == ["taken"] * 3
    assert [d["joined"] for d in decisions] == [TWELVE, [], ["SM"]]
    assert decisions[-1]["sha256"] in result.snapshot
    assert decisions[-1]["origin"] == f"{library.lists.url}/web.csv"


def test_a_first_list_has_to_have_its_declared_size(library: Library) -> None:
    library.extra = ", at_least: 13"
    assert "12 members, expected at least 13" in str(library.refresh()["web"].why)
    library.extra = ", at_most: 11"
    assert "12 members, expected at most 11" in str(library.refresh()["web"].why)


def test_limits_are_declared(library: Library) -> None:
    library.extra = ", most_left: 0.5, most_joined: 0.25"
    library.serve("symbol\n" + "\n".join(TWELVE[:8]))
    assert library.refresh()["web"].decision == "taken"
    library.serve(GOOD)
    assert library.refresh()["web"].why == "4 joined 8 members at once (SI, SJ, SK, SL)"


def test_the_past_of_a_list_with_dates_is_not_lost_at_once(library: Library) -> None:
    library.extra = ", from_column: from, to_column: to"
    past = "".join(f"P{c},2000-01-03,2010-01-04\n" for c in "ABCDE")
    rows = "symbol,from,to\n" + "".join(f"{s},,\n" for s in TWELVE)
    library.serve(rows + past)
    assert library.refresh()["web"].decision == "taken"
    library.serve(rows + "PA,2000-01-03,2010-01-04\n")
    assert "4 of 5 past memberships are gone" in str(library.refresh()["web"].why)


NASDAQ = (
    "Symbol|Security Name|Market Category|Test Issue|Financial Status|Round Lot Size|ETF|NextShares\n"
    "{}File Creation Time: 1||\n"
)


def listing(*rows: str) -> str:
    """The list of symbols, or of `symbol|name`."""
    named = [row if "|" in row else f"{row}|{row} Inc" for row in rows]
    return NASDAQ.format("".join(f"{row}|Q|N|N|100|N|N\n" for row in named))


def suspected_on_day(library: Library, number: int, *rows: str) -> list[str]:
    """Refresh an exchange's list on a day, and return the suspected delistings."""
    library.tomorrow(number)
    (library.folder / "n.txt").write_text(listing(*rows))
    (library.folder / "u.yaml").write_text("phases: {p: {n: {market: us, type: nasdaq_trader, path: n.txt}}}")
    desk = library.desk
    settings = desk.platform.settings.model_copy(update={"universe_path": library.folder / "u.yaml"})
    (result,) = refresh_universes(
        replace(desk.platform, settings=settings), desk.platform.tables, phase=None, name=None
    )
    assert result.decision == "taken"
    return [f["subject"] for f in library.findings("delisting_suspected")]


def test_a_listed_warrant_is_no_suspected_delisting(library: Library) -> None:
    library.extra = ""
    shares = ["AAA", "BBB", "CCC", "DDD"]
    assert suspected_on_day(library, 5, *shares, "EEEEW|EEEE - Class W Common Stock") == []  # a member then
    for number in (6, 7, 8):
        assert suspected_on_day(library, number, *shares, "EEEEW|EEEE - Warrant") == []


def test_who_is_missing_on_an_exchanges_list_twice_is_suspected_and_no_more(library: Library) -> None:
    library.extra = ""
    day = partial(suspected_on_day, library)
    all_of_them = ["AAA", "BBB", "CCC", "DDD", "EEE"]
    assert day(5, *all_of_them) == []
    assert day(6, *all_of_them[1:]) == []  # one answer proves nothing
    assert day(6, *all_of_them[1:]) == []  # nor does another one of that day
    assert day(7, *all_of_them[1:]) == ["AAA"]
    (finding,) = library.findings("delisting_suspected")
    assert finding["facts"]["last_listed"] == "2024-02-05"
    assert "quantx instruments delist AAA --on 2024-02-05" in finding["message"]
    assert day(8, *all_of_them) == []  # it is back
