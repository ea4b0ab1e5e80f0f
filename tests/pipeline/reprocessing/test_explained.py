"""Explanations against the raw bytes: each value is decoded again from the reply that its explanation names."""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantx.core.calendars import calendar
from quantx.core.model import Finding, Window
from quantx.core.quality import POLICY_VERSION
from quantx.core.quality.daily_rules import DAILY_RULES
from quantx.core.quality.policy import Policy
from quantx.core.symbol_history import Naming, SymbolHistory, history_rows
from quantx.errors import NotInLake, RawNotReadable
from quantx.lake.protocol import CommitContext
from quantx.lake.raw import SCHEMA, list_raw
from quantx.pipeline.inspecting.published import publish_findings, publish_sessions
from quantx.pipeline.inspecting.reconcile import reconcile
from quantx.pipeline.planning.plan import plan_backfill
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.reprocessing.quarantine import RowSelection, accept, rejected_rows
from quantx.pipeline.runtime.threads import Threads
from quantx.pipeline.wiring import reprocessor_of, worker_of
from quantx.providers.protocol import Capabilities
from quantx.reader.explain import Explanation
from quantx.reader.lake import Lake

from ..conftest import Desk, Tape, reprocess

pytestmark = pytest.mark.slow

FIRST, LAST = date(2023, 10, 2), date(2024, 1, 12)
DAYS = calendar("XNYS").sessions(FIRST, LAST)
SPLIT, PAID, GAINED = date(2023, 12, 5), date(2023, 11, 15), date(2023, 11, 15)
CORRECTED, REJECTED, UNSENT = date(2023, 10, 10), date(2023, 10, 17), date(2023, 10, 24)
RENAMED = date(2023, 11, 1)
ODD = (106.0, 105.75, 104.0, 105.5, 10.0)  # the open is above the high
LENIENT = Policy(POLICY_VERSION + 1, [rule for rule in DAILY_RULES if rule.id != "open_in_range"])


@dataclass
class SplitTape(Tape):
    """The vendor `other`: prices and dividends divided by all splits that it lists."""

    capabilities: ClassVar = Capabilities(
        source="other",
        timeframes=("1d",),
        markets=("us",),
        symbols_per_request=1,
        price_basis="split_adjusted",
        needs_key=False,
        quota="10/s",
    )


def adjusted(bars: dict[date, Any]) -> dict[date, Any]:
    return {
        d: (*(p / 2 if d < SPLIT else p for p in row[:4]), row[4] * (2 if d < SPLIT else 1)) for d, row in bars.items()
    }


def traded() -> dict[date, Any]:
    """Prices near 100, and half as much from the split on; each day's are its own."""
    bars = {}
    for n, day in enumerate(DAYS):
        level = (100 + n / 7) * (0.5 if day >= SPLIT else 1)
        bars[day] = (level, level * 1.01, level * 0.99, level * 1.003, 1000.0 + 2 * n)
    return bars


@pytest.fixture(scope="module")
def market(open_desk: Any, new_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two vendors with a split, a dividend and a capital gain, a correction, a rejected row, an unsent session."""
    with new_database() as database:
        desk: Desk = open_desk(database, tmp_path_factory.mktemp("explained") / "lake")
        tape, other = desk.tape, SplitTape(desk.clock)
        for symbol in ("AAA", "BBB"):
            tape.shows[symbol] = traded()
            del tape.shows[symbol][UNSENT]
            other.shows[symbol] = adjusted(traded())
            tape.pays[symbol] = [
                (PAID, "dividend", 1.0, None),
                (GAINED, "capital_gain", 0.5, None),
                (SPLIT, "split", 2.0, None),
            ]
            other.pays[symbol] = [(PAID, "dividend", 0.5, None), (SPLIT, "split", 2.0, None)]
        tape.shows["AAA"][REJECTED] = ODD
        desk.platform = desk.with_(providers={"tape": tape, "other": other})
        fetch(desk)
        desk.clock.goes_to(date(2024, 1, 13))
        for symbol in ("AAA", "BBB"):  # corrections, and a close on which the vendors disagree
            row = traded()[CORRECTED]
            tape.shows[symbol][CORRECTED] = (row[0], row[1], row[2], row[2] * 1.001, row[4])
        fetch(desk)
        reconcile(desk.platform, desk.platform.tables, lambda market: ("tape", "other"))
        history = SymbolHistory(
            [Naming("us.OLD", "OLD", None, RENAMED), Naming("us.OLD", "AAA", date(2023, 11, 2), None)]
        )
        rows = history_rows(history, {"us.OLD": "the test"}, desk.clock.now())
        desk.platform.tables["symbol_history"].commit(CommitContext(), rows)
        findings = desk.platform.state.findings
        findings.note(
            [Finding("unexplained_jump", "warn", "AAA", "a jump", source="tape", first_day=DAYS[3], last_day=DAYS[4])]
        )
        publish_findings(desk.platform, desk.platform.tables)
        publish_sessions(desk.platform, desk.platform.tables, ["AAA"])
        yield desk


def fetch(desk: Any) -> None:
    for source in ("tape", "other"):
        platform = replace(desk.platform, runtime=Threads())
        plan = plan_backfill(platform, Scope(("AAA", "BBB")), Window(FIRST, LAST), source=source, again=True)
        worker_of(platform).run(task_ids=plan.task_ids)


def opened(desk: Any) -> Lake:
    return Lake(desk.platform.location, lambda timeframe, market: ("tape", "other"))


def decoded(found: Explanation, lake: Path) -> dict[str, float]:
    """Decode the row from the raw object that an explanation names, with its splits, by the vendor's format alone."""
    assert found.reply is not None
    assert found.reply.path is not None
    page = pq.read_table(lake / found.reply.path).slice(found.reply.row, 1).to_pylist()[0]
    body = page["body"]
    assert (hashlib.sha256(body).hexdigest(), body) == (found.reply.sha256, found.reply.body)
    assert (page["request"], page["status"], page["fetched_at"]) == (
        found.reply.request,
        found.reply.status,
        found.reply.fetched_at,
    )
    document = json.loads(body)
    (position,) = [n for n, row in enumerate(document["bars"]) if row[0] == str(found.day)]
    assert found.reply.place == f"/bars/{position}"
    ratio = 1.0
    for day, kind, value, _ in document["actions"] if found.source == "other" else ():
        if kind == "split" and day > str(found.day):
            ratio *= value
    *prices, volume = document["bars"][position][1:]
    return dict(
        zip(("open", "high", "low", "close", "volume"), (*(p * ratio for p in prices), volume / ratio), strict=True)
    )


def check_random_values(desk: Any, count: int, seed: int) -> None:
    lake, folder, chance = opened(desk), Path(desk.platform.settings.lake_url), random.Random(seed)
    stored = desk.rows().rows(named=True)
    for row in chance.sample(stored, count):
        field = chance.choice(("open", "high", "low", "close", "volume"))
        symbol = chance.choice(("AAA", "OLD")) if row["symbol"] == "AAA" else "BBB"
        found = lake.explain(symbol, row["date"], field=field, source=row["source"])
        assert (found.value, found.stored_symbol, found.source) == (row[field], row["symbol"], row["source"])
        values = decoded(found, folder)
        assert all(math.isclose(row[c], values[c], rel_tol=1e-9) for c in values)
        assert found.reply is not None
        assert found.reply.sent is not None
        shown = lake.bars(symbol, row["date"], row["date"], source=row["source"], adjust="total")
        assert found.adjustment is not None
        assert found.adjustment.total[field] == shown[field][0]
        assert math.isclose(values["close"] * found.adjustment.total_factor, shown["adj_close"][0], rel_tol=1e-9)


# ------------------------------------------------------------------------------------------------------------ the value


def test_random_values_are_those_of_the_bytes(market: Any) -> None:
    assert market.rows().group_by("source").len().rows() != []
    check_random_values(market, 50, seed=16)


def test_a_corrected_value_names_the_reply_of_its_correction_and_its_revision(market: Any) -> None:
    found = opened(market).explain("BBB", CORRECTED)
    (earlier,) = found.revisions
    assert earlier["close"] == traded()[CORRECTED][3]
    assert found.value == traded()[CORRECTED][2] * 1.001
    assert earlier["known_to"] == found.known_from
    then = opened(market).explain("BBB", CORRECTED, as_of=earlier["known_from"])
    assert (then.value, then.reply and then.reply.raw) == (earlier["close"], earlier["raw"])
    assert decoded(then, Path(market.platform.settings.lake_url))["close"] == earlier["close"]


def test_other_vendors_and_the_verdict(market: Any) -> None:
    found = opened(market).explain("BBB", CORRECTED)
    (other,) = found.others
    assert (other["source"], other["close"]) == ("other", pytest.approx(traded()[CORRECTED][3]))
    assert other["difference"] == pytest.approx(traded()[CORRECTED][3] / found.value - 1)
    assert {(v["source"], v["verdict"]) for v in found.verdicts} == {("tape", "doubtful"), ("other", "doubtful")}
    assert [(a["source_a"], a["source_b"], a["month"]) for a in found.agreements] == [("other", "tape", 202310)]


def test_actions_with_the_factor_of_each(market: Any) -> None:
    found = opened(market).explain("BBB", DAYS[0])
    assert found.adjustment is not None
    close = traded()[date(2023, 11, 14)][3]
    assert [(a.ex_date, a.kind, a.value, a.factor) for a in found.adjustment.actions] == [
        (PAID, "capital_gain", 0.5, pytest.approx(1 - 1.5 / close)),  # both of one day: one factor
        (PAID, "dividend", 1.0, pytest.approx(1 - 1.5 / close)),
        (SPLIT, "split", 2.0, 0.5),
    ]
    assert found.adjustment.total_factor == pytest.approx((1 - 1.5 / close) / 2)
    assert found.adjustment.split["volume"] == 2 * found.row["volume"]  # type: ignore[index]
    after = opened(market).explain("BBB", SPLIT)
    assert after.adjustment is not None
    assert (after.adjustment.actions, after.adjustment.total_factor) == ([], 1.0)


def test_rules_and_findings(market: Any) -> None:
    found = opened(market).explain("AAA", DAYS[3])
    assert found.rules is not None
    states = {rule.id: rule.state for rule in found.rules.results}
    assert states.keys() == {rule.id for rule in DAILY_RULES if rule.applies_to("AAA")}
    assert {name for name, state in states.items() if state != "passed"} == {"price_possible", "one_row_per_session"}
    assert found.rules.policy == POLICY_VERSION
    assert "unexplained_jump" in [f["rule"] for f in found.findings]
    assert "unexplained_jump" not in [f["rule"] for f in opened(market).explain("AAA", DAYS[5]).findings]


# ------------------------------------------------------------------------------------------------------------- no value


def why(found: Explanation) -> str:
    assert found.row is None
    return "\n".join(found.absence)


def test_a_session_without_a_bar_is_explained(market: Any) -> None:
    lake = opened(market)
    assert "2023-10-07 is no session of XNYS: a weekend" in why(lake.explain("AAA", "2023-10-07"))
    assert "2023-11-23 is no session of XNYS: the exchange is closed" in why(lake.explain("AAA", "2023-11-23"))
    assert "the bars of tape begin on 2023-10-02" in why(lake.explain("AAA", "2023-09-29"))
    assert "the bars of tape end on 2024-01-12" in why(lake.explain("AAA", "2024-01-16"))
    with pytest.raises(NotInLake, match="the lake knows no symbol ZZZ"):
        lake.explain("ZZZ", "2024-01-11")
    with pytest.raises(NotInLake, match="no daily bars of the source 'third'"):
        lake.explain("AAA", "2024-01-11", source="third")
    assert "was not public by 2023-10-02" in why(lake.explain("BBB", DAYS[1], public_by=DAYS[0]))
    assert "tape has none; other has one" in why(lake.explain("AAA", UNSENT, source="tape"))
    assert "is known since 2024-01-12 23:00:00 UTC" in why(lake.explain("BBB", DAYS[1], as_of="2024-01-01"))


def test_what_the_vendor_did_not_send_is_proved_by_its_reply(market: Any) -> None:
    assert opened(market).explain("BBB", UNSENT).source == "other"  # queries show the other vendor's
    found = opened(market).explain("BBB", UNSENT, source="tape")
    assert "tape sent nothing for it: the reply with both (raw/source=tape/" in why(found)


def test_a_rejected_row_explains_its_session(market: Any) -> None:
    found = opened(market).explain("AAA", REJECTED, source="tape")
    assert "tape sent a row that was rejected: open_in_range (below)" in why(found)
    (row,) = found.rejected
    assert json.loads(row["row"])["open"] == ODD[0]
    assert row["id"] == rejected_rows(market.platform.tables, RowSelection(symbol="AAA"))["id"].item()
    assert opened(market).explain("AAA", REJECTED).rejected == found.rejected  # beside the other vendor's bar


# ----------------------------------------------------------------------------------------------------- without raw data


def test_forms_of_an_explanation(market: Any) -> None:
    found = opened(market).explain("BBB", CORRECTED)
    assert repr(found).startswith(f"BBB {CORRECTED}: close ")
    assert "Earlier values" in repr(found)
    assert found.reply is not None
    assert str(found.reply.sha256) in found._repr_html_()
    facts = json.loads(json.dumps(found.as_facts(), default=str))
    assert facts["reply"]["sha256"] == found.reply.sha256
    assert "body" not in facts["reply"]


class WithoutRaw:
    """The place of a lake for an identity that may not read raw objects."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def has(self, path: str) -> bool:
        if path.startswith("raw/"):
            raise RawNotReadable(f"cannot read {path}: refused")
        return bool(self._real.has(path))


def test_without_the_right_to_raw_objects_the_rest_is_explained(market: Any) -> None:
    lake = Lake(WithoutRaw(market.platform.location), lambda timeframe, market: ("tape", "other"))  # type: ignore[arg-type]
    found = lake.explain("BBB", CORRECTED)
    assert found.reply is not None
    assert (found.value, found.reply.body) == (traded()[CORRECTED][2] * 1.001, None)
    assert str(found.reply.problem).startswith("cannot read raw/source=tape/")
    assert (len(found.revisions), len(found.others)) == (1, 1)
    assert str(found.reply.problem) in repr(found)


def test_a_missing_raw_object_leaves_the_rest(market: Any) -> None:
    lake = opened(market)
    reply = lake.explain("BBB", DAYS[9]).reply
    assert reply is not None
    path = Path(market.platform.settings.lake_url) / str(reply.path)
    hidden = path.with_suffix(".hidden")
    path.rename(hidden)
    try:
        found = lake.explain("BBB", DAYS[9])
    finally:
        hidden.rename(path)
    assert found.reply is not None
    assert (found.value, found.reply.problem) == (
        traded()[DAYS[9]][3],
        f"the raw zone has no object {found.reply.raw} of tape any more",
    )


# --------------------------------------------------------------------------------- after other programs and other rules


def test_values_restated_by_reprocessing_and_objects_of_earlier_programs(market: Any) -> None:
    """The last test: it changes the lake."""
    location = market.platform.location
    for path in list_raw(location):  # as a program without footers wrote them
        file = Path(market.platform.settings.lake_url) / path
        pq.write_table(pa.table(pq.read_table(file).to_pydict(), schema=SCHEMA), file)
    lenient = replace(market.platform, policy=LENIENT)
    assert reprocess(lenient).tables["bars_1d"]["new"] == 1
    found = opened(market).explain("AAA", REJECTED)
    assert (found.source, found.value) == ("tape", ODD[3])
    assert found.rules is not None
    assert [r.id for r in found.rules.results if r.state == "broken"] == ["open_in_range"]
    check_random_values(market, 10, seed=17)

    assert reprocess(market.platform).tables["bars_1d"]["gone"] == 1
    assert opened(market).explain("AAA", REJECTED).source == "other"
    name = rejected_rows(market.platform.tables, RowSelection(symbol="AAA", state="open"))["id"].item()
    accept(reprocessor_of(market.platform), name, "the exchange confirms it", "me")
    found = opened(market).explain("AAA", REJECTED)
    assert found.rules is not None
    assert [r.id for r in found.rules.results if r.state == "overridden"] == ["open_in_range"]
    assert (found.rejected[0]["state"], found.rejected[0]["by"]) == ("accepted", "me")
    assert decoded(found, Path(market.platform.settings.lake_url))["open"] == ODD[0]
