"""No sequence of replies around a split leaves a wrong row: random sequences, and known ones."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given, settings

from quantx.core.model import Window
from quantx.core.tables import BARS_1D
from quantx.pipeline.curating.derive import Derived

from .split_sequences import (
    DIVIDED,
    EARLY,
    LATE,
    SESSIONS,
    SPLIT_ADJUSTED,
    SYMBOL,
    UNDIVIDED,
    Desk,
    History,
    Step,
    Truth,
    histories,
    prove,
    send,
    share,
)


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
@settings(max_examples=8, derandomize=True)
@given(histories())
def test_no_sequence_leaves_a_wrong_row(source: str, history: History) -> None:
    prove(source, history)


# ------------------------------------------------------------------------------------------------------ known histories

E = 55  # the session of the split
FLAT = share(3, [(SESSIONS[E], 10.0)], 0.005)


def _desk(source: str, *moves: tuple[int, int, str, int], truth: Truth = FLAT) -> tuple[Desk, list[Derived]]:
    """Return a desk after replies: (session, sessions looked back, what the vendor does, hour)."""
    desk = Desk(source, truth)
    until: date | None = None
    derived = []
    for place, back, does, hour in moves:
        until = send(desk, place, Step(0, back, does, hour), until)
        derived.append(desk.last)
    return desk, derived


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
def test_a_split_of_the_next_session_is_neither_applied_nor_an_action(source: str) -> None:
    desk, (_, early) = _desk(source, (E - 3, 20, DIVIDED, 23), (E, 5, EARLY, 6))
    assert not desk.wrong()
    assert max(desk.rows()) == SESSIONS[E - 1]
    assert desk.splits() == []
    assert early.parts[0][1].held == {}


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
@pytest.mark.parametrize(("does", "reason"), [(UNDIVIDED, "undivided"), (LATE, "unlisted")])
def test_a_reply_on_another_basis_is_held_back_and_asked_again(source: str, does: str, reason: str) -> None:
    desk, (_, derived) = _desk(source, (E - 1, 20, DIVIDED, 23), (E + 1, 5, does, 23))
    (held,) = derived.parts[0][1].held.values()
    assert (held.reason, held.symbol) == (reason, SYMBOL)
    assert derived.parts[0][1].coverage == {}
    assert max(desk.rows()) == SESSIONS[E - 1]
    assert (desk.wrong(), desk.splits()) == ({}, [])
    send(desk, E + 2, Step(0, 5, DIVIDED, 23), SESSIONS[E - 1])
    assert (desk.wrong(), desk.splits()) == ({}, [(SESSIONS[E], 10.0)])
    assert max(desk.rows()) == SESSIONS[E + 2]


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
def test_a_fresh_history_is_decided_by_its_own_steps(source: str) -> None:
    desk, (derived,) = _desk(source, (E + 2, 20, UNDIVIDED, 23))
    assert desk.rows() == {}
    assert [held.reason for held in derived.parts[0][1].held.values()] == ["undivided"]
    desk, _ = _desk(source, (E + 2, 20, DIVIDED, 23))
    assert (len(desk.rows()), desk.wrong()) == (21, {})


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
def test_a_small_split_of_a_fresh_history_is_not_guessed(source: str) -> None:
    truth = share(4, [(SESSIONS[E], 1.02)], 0.01)
    desk, _ = _desk(source, (E + 2, 20, DIVIDED, 23), truth=truth)
    assert desk.rows() == {}
    send(desk, E + 70, Step(0, 90, DIVIDED, 23), None)
    assert desk.rows()
    assert desk.wrong() == {}


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
def test_a_history_that_was_divided_before_the_split_was_listed_is_corrected_as_a_revision(source: str) -> None:
    """Also the rows that the later reply does not reach."""
    desk, _ = _desk(source, (E + 1, 30, LATE, 23))
    assert len(desk.wrong()) == 29  # nothing shows it yet
    send(desk, E + 3, Step(0, 2, DIVIDED, 23), SESSIONS[E + 1])
    assert desk.wrong() == {}
    assert desk.tables[BARS_1D.revisions.name].read().height == 29


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
def test_a_split_that_is_listed_and_never_carried_out_moves_no_price(source: str) -> None:
    still, named = share(5, [], 0.005), [(SESSIONS[E], 2.0)]
    desk = Desk(source, still)
    for place, listed in ((E - 4, []), (E, named), (E + 2, named), (E + 4, [])):
        at = datetime.combine(SESSIONS[place], time(23), UTC)
        desk.reply(Window(SESSIONS[place - 10], SESSIONS[place]), at, listed, [])
        assert (desk.wrong(), desk.splits()) == ({}, [])
    assert max(desk.rows()) == SESSIONS[E + 4]


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
@pytest.mark.parametrize("first", [E, E - 1])
def test_a_split_that_is_named_twice_is_applied_once(source: str, first: int) -> None:
    desk = Desk(source, FLAT)
    before = datetime.combine(SESSIONS[E - 1], time(23), UTC)
    desk.reply(Window(SESSIONS[E - 20], SESSIONS[E - 1]), before, [], [])
    twice = [(SESSIONS[first], 10.0), (SESSIONS[E], 10.0)]
    after = datetime.combine(SESSIONS[E + 2], time(23), UTC)
    derived = desk.reply(Window(SESSIONS[E - 10], SESSIONS[E + 2]), after, twice, FLAT.splits)
    assert (desk.wrong(), desk.splits()) == ({}, [(SESSIONS[E], 10.0)])
    assert [finding.rule for finding in derived.parts[0][1].events.found] == ["event_named_twice"]
