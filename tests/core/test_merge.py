"""Merging: nothing is lost, nothing is doubled, and the newest word counts whatever the order of arrival."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.merge import Merge, merge
from quantx.core.table import INSTANT, Table
from quantx.core.tables import ACTIONS, BARS_1D, UNIVERSE_MEMBERS

T0 = datetime(2024, 1, 10, 22, tzinfo=UTC)
DAY = date(2024, 1, 8)
BAR: dict[str, Any] = {
    "source": "yahoo",
    "year": 2024,
    "symbol": "AAPL",
    "date": DAY,
    "open": 100.0,
    "high": 102.0,
    "low": 99.0,
    "close": 101.0,
    "volume": 5_000_000,
    "currency": "USD",
    "raw": "R1",
    "known_from": T0,
}


def bars(*differences: dict[str, Any]) -> pl.DataFrame:
    rows = [BAR | d for d in differences]
    frame = pl.DataFrame(rows, schema={**BARS_1D.schema, "volume_step": pl.Float64})
    return frame if any("volume_step" in d for d in differences) else frame.drop("volume_step")


def later(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def apply(stored: pl.DataFrame, merged: Merge, table: Table) -> pl.DataFrame:
    """What the lake does with a merge."""
    kept = stored.join(merged.changed, on=list(table.key), how="anti", nulls_equal=True)
    return pl.concat([kept, merged.new, merged.changed])


def verdict(merged: Merge) -> str:
    counts = {"new": merged.new.height, "changed": merged.changed.height, "same": merged.same}
    older = merged.superseded.height - merged.changed.height
    (name,) = [n for n, count in {**counts, "older": older}.items() if count]
    return name


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "another day": ({"date": date(2024, 1, 9)}, "new"),
    "another symbol": ({"symbol": "MSFT"}, "new"),
    "another source": ({"source": "stooq"}, "new"),
    "the same": ({}, "same"),
    "the same, later": ({"known_from": later(24), "raw": "R2"}, "same"),
    "the same, earlier": ({"known_from": later(-24), "raw": "R0"}, "same"),
    "a close within the tolerance": ({"known_from": later(1), "close": 101.0 * (1 + 0.9e-6)}, "same"),
    "a close below, within the tolerance": ({"known_from": later(1), "close": 101.0 * (1 - 0.9e-6)}, "same"),
    "a close beyond the tolerance": ({"known_from": later(1), "close": 101.0 * (1 + 1.1e-6)}, "changed"),
    "a close below, beyond the tolerance": ({"known_from": later(1), "close": 101.0 * (1 - 1.1e-6)}, "changed"),
    "a close at the same instant": ({"close": 102.0}, "changed"),
    "an open": ({"known_from": later(1), "open": 100.5}, "changed"),
    "a volume within the tolerance": ({"known_from": later(1), "volume": 5_000_004}, "same"),
    "a volume beyond the tolerance": ({"known_from": later(1), "volume": 5_000_006}, "changed"),
    "a volume within its step": ({"known_from": later(1), "volume": 5_000_010, "volume_step": 10.0}, "same"),
    "a volume beyond its step": ({"known_from": later(1), "volume": 5_000_011, "volume_step": 10.0}, "changed"),
    "a currency": ({"known_from": later(1), "currency": "GBX"}, "changed"),
    "a close, but an older word": ({"known_from": later(-1), "close": 90.0}, "older"),
    "a null close": ({"known_from": later(1), "close": None}, "same"),
    "a null currency": ({"known_from": later(1), "currency": None}, "same"),
    "a null close with another open": ({"known_from": later(1), "close": None, "open": 100.5}, "changed"),
}


@pytest.mark.parametrize(("difference", "expected"), CASES.values(), ids=CASES)
def test_what_an_incoming_row_means(difference: dict[str, Any], expected: str) -> None:
    assert verdict(merge(bars({}), bars(difference), BARS_1D)) == expected


def test_a_changed_row_replaces_and_the_replaced_one_is_kept_with_its_time() -> None:
    merged = merge(bars({}), bars({"known_from": later(5), "close": 105.0, "raw": "R2"}), BARS_1D)
    (now,) = merged.changed.to_dicts()
    (before,) = merged.superseded.to_dicts()
    assert now == BAR | {"known_from": later(5), "close": 105.0, "raw": "R2"}
    assert before == BAR | {"known_to": later(5)}


def test_an_older_word_is_kept_as_what_was_believed_before() -> None:
    merged = merge(bars({}), bars({"known_from": later(-5), "close": 90.0, "raw": "R0"}), BARS_1D)
    (before,) = merged.superseded.to_dicts()
    assert before == BAR | {"known_from": later(-5), "close": 90.0, "raw": "R0", "known_to": T0}


def test_a_null_takes_the_stored_value_and_does_not_erase_it() -> None:
    merged = merge(bars({}), bars({"known_from": later(1), "close": None, "open": 100.5}), BARS_1D)
    (now,) = merged.changed.to_dicts()
    assert (now["open"], now["close"]) == (100.5, 101.0)


def test_a_value_fills_a_stored_null() -> None:
    merged = merge(bars({"currency": None}), bars({"known_from": later(1)}), BARS_1D)
    assert merged.changed["currency"].to_list() == ["USD"]
    assert merged.superseded["currency"].to_list() == [None]


def test_a_number_fills_a_stored_null() -> None:
    row = {"source": "yahoo", "symbol": "A", "ex_date": DAY, "kind": "dividend", "value": 1.0, "raw": "R"}
    unknown = pl.DataFrame([row | {"known_from": T0}], schema=dict(ACTIONS.schema))
    known = pl.DataFrame([row | {"known_from": later(1), "reference_close": 50.0}], schema=dict(ACTIONS.schema))
    assert merge(unknown, known, ACTIONS).changed["reference_close"].to_list() == [50.0]
    assert merge(known, unknown.with_columns(known_from=pl.lit(later(2), INSTANT)), ACTIONS).same == 1


def test_a_null_in_a_key_is_a_key() -> None:
    row = {"universe": "u", "phase": "phase_1", "symbol": "A", "market": "us", "known_from": T0}
    since_ever = pl.DataFrame([row], schema=dict(UNIVERSE_MEMBERS.schema))
    left = since_ever.with_columns(member_to=pl.lit(DAY), known_from=pl.lit(later(1), INSTANT))
    merged = merge(since_ever, left, UNIVERSE_MEMBERS)
    assert (merged.new.height, merged.changed["member_to"].to_list()) == (0, [DAY])


def test_columns_that_the_table_lacks_are_ignored() -> None:
    merged = merge(bars({}), bars({"symbol": "MSFT", "volume_step": 1.0}), BARS_1D)
    assert dict(merged.new.schema) == dict(BARS_1D.schema)


def test_every_part_has_the_columns_of_its_table() -> None:
    for stored, incoming in (
        (BARS_1D.empty(), bars({})),
        (bars({}), BARS_1D.empty()),
        (bars({}), bars({"close": 1.0})),
    ):
        merged = merge(stored, incoming, BARS_1D)
        assert dict(merged.new.schema) == dict(merged.changed.schema) == dict(BARS_1D.schema)
        assert dict(merged.superseded.schema) == dict(BARS_1D.revisions.schema)


def test_a_batch_does_not_touch_the_keys_it_lacks() -> None:
    stored = bars({}, {"symbol": "MSFT"}, {"symbol": "IBM"})
    after = apply(stored, merge(stored, bars({"symbol": "MSFT", "close": 7.0}), BARS_1D), BARS_1D)
    assert dict(zip(after["symbol"], after["close"], strict=True)) == {"AAPL": 101.0, "IBM": 101.0, "MSFT": 7.0}


# One vendor's word about a few bars at different times. Values are distinct beyond every tolerance.
words = st.lists(
    st.tuples(st.sampled_from(["AAPL", "MSFT"]), st.integers(8, 10), st.integers(0, 50)),
    unique=True,
    max_size=12,
)


def spoken(word: tuple[str, int, int]) -> dict[str, Any]:
    symbol, day, hour = word
    return {"symbol": symbol, "date": date(2024, 1, day), "known_from": later(hour), "close": 100.0 + hour}


def arrive(batches: Sequence[Sequence[tuple[str, int, int]]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    current, revisions = BARS_1D.empty(), BARS_1D.revisions.empty()
    for batch in batches:
        newest = {(s, d): (s, d, h) for s, d, h in sorted(batch)}  # keys are unique within a batch
        merged = merge(current, bars(*map(spoken, newest.values())), BARS_1D)
        current = apply(current, merged, BARS_1D)
        revisions = pl.concat([revisions, merged.superseded])
    return current, revisions


@given(words)
def test_merging_the_same_rows_again_changes_nothing(batch: list[tuple[str, int, int]]) -> None:
    incoming = bars(*(spoken(w) for w in {(s, d): (s, d, h) for s, d, h in batch}.values()))
    stored = apply(BARS_1D.empty(), merge(BARS_1D.empty(), incoming, BARS_1D), BARS_1D)
    again = merge(stored, incoming, BARS_1D)
    assert (again.new.height, again.changed.height, again.superseded.height) == (0, 0, 0)
    assert again.same == incoming.height


@given(words, st.randoms(use_true_random=False))
def test_the_newest_word_stands_whatever_the_order_of_arrival(said: list[tuple[str, int, int]], random: Any) -> None:
    random.shuffle(said)
    current, _ = arrive([[word] for word in said])
    newest: dict[tuple[str, date], float] = {}
    for symbol, day, hour in said:
        key = (symbol, date(2024, 1, day))
        newest[key] = max(newest.get(key, 0.0), 100.0 + hour)
    found = {(r["symbol"], r["date"]): r["close"] for r in current.iter_rows(named=True)}
    assert found == newest


@given(words, st.randoms(use_true_random=False))
def test_every_word_is_either_current_or_a_revision(said: list[tuple[str, int, int]], random: Any) -> None:
    random.shuffle(said)
    current, revisions = arrive([[word] for word in said])
    kept = pl.concat([current, revisions.drop("known_to")]).select("symbol", "date", "known_from", "close")
    assert sorted(kept.rows()) == sorted(tuple(spoken(w)[c] for c in kept.columns) for w in said)


@given(words)
def test_beliefs_in_order_of_time_follow_each_other_without_a_gap(said: list[tuple[str, int, int]]) -> None:
    current, revisions = arrive([[word] for word in sorted(said, key=lambda w: w[2])])
    now = current.with_columns(pl.lit(None, dtype=INSTANT).alias("known_to"))
    for _, history in pl.concat([revisions, now]).sort("known_from").group_by("symbol", "date", maintain_order=True):
        assert history["known_to"].to_list()[:-1] == history["known_from"].to_list()[1:]
        assert history["known_to"].to_list()[-1] is None


@given(words, words)
def test_parts_are_disjoint_and_complete(before: list[tuple[str, int, int]], now: list[tuple[str, int, int]]) -> None:
    stored, _ = arrive([[w] for w in before])
    incoming = bars(*(spoken(w) for w in {(s, d): (s, d, h) for s, d, h in now}.values()))
    merged = merge(stored, incoming, BARS_1D)
    older = merged.superseded.height - merged.changed.height
    assert merged.new.height + merged.changed.height + merged.same + older == incoming.height
    after = apply(stored, merged, BARS_1D)
    assert after.select(BARS_1D.key).is_unique().all()
    assert after.height == stored.height + merged.new.height
