"""The quick benchmarks run at a tenth of their size and count what they say; times are printed, never asserted.

The larger ones: tests/prove/test_large_benchmarks.py.
"""

from __future__ import annotations

import pytest

from .outcomes import outcome_of

pytestmark = pytest.mark.slow


def test_the_sandbox_answers_every_window() -> None:
    assert outcome_of("sandbox") == {"requests": 300, "good": 300}


def test_alpacas_pages_are_read_whole() -> None:
    counts = outcome_of("alpaca")
    assert counts == {"rows": counts["rows"], "pages": 3}
    assert 25 * 390 + 500 * 20 < counts["rows"] < 25 * (390 + 80) + 500 * 20


def test_all_rules_find_what_is_planted_in_every_twentieth_symbol() -> None:
    sessions, faulty = 3774, 80 // 20  # of New York, 2010 to 2024
    assert outcome_of("b6") == {
        "rows": 80 * sessions,
        "rejected": faulty,
        "bad_tick": faulty,
        "forgotten_split": faulty,
    }


def test_a_daily_upsert_is_one_commit_per_table() -> None:
    counts = outcome_of("b3")
    assert counts["rows"] == 500 * (3773 - 10 - 1)
    assert counts["upserts"] == 10
    assert counts["incoming"] == 10 * 5 * 500
    assert counts["new"] == 10 * 500
    assert counts["commits"] == 10 * 2
    assert 0 < counts["revised"] < 0.01 * counts["incoming"]
    assert counts["files_before_fold"] == counts["files_before"] + 5
    assert counts["files_after"] == 15 + 1 + 5


def test_vendors_are_reconciled_and_each_error_is_counted_once() -> None:
    counts = outcome_of("b6-vendors")
    assert counts["sessions"] == counts["rows"] == 66 * 3772
    assert counts["odd"] == counts["sessions"] - counts["agreed"]
    assert counts["lacking"] == 235
    year = 3772 * 7 // 15
    systematic = 3772 + year  # a symbol in cents, one without its split until 2018: a third vendor has both
    assert counts["wrong"] > systematic - 20
    assert counts["doubtful"] == 2 * (counts["odd"] - counts["lacking"] - counts["wrong"])


def test_sessions_of_minutes_are_stored_but_for_the_broken_rows() -> None:
    rows = 3 * 500 * 390
    broken = 3 * -(-500 * 390 // 9999)
    assert outcome_of("m1") == {"rows": rows, "stored": rows - broken, "rejected": broken, "files": 3}


def test_a_session_of_minutes_costs_few_requests_and_changes_nothing_the_second_time() -> None:
    counts = outcome_of("m2")
    rows = 500 * 390 - -(-500 * 390 // 9999)
    assert (counts.pop("rows"), counts.pop("same")) == (4 * rows, rows)
    if "rows_on_azurite" not in counts:
        pytest.skip("Azurite is not installed")
    assert (counts.pop("rows_on_azurite"), counts.pop("same_on_azurite")) == (4 * rows, rows)
    assert (counts["PUT rows"], counts["PUT log entry"]) == (3, 3)
    assert "GET rows" not in counts  # a fresh session opens no file
    assert sum(counts.values()) <= 3 * 30


def test_a_month_is_compacted_once_and_keeps_its_rows() -> None:
    counts = outcome_of("m3")
    assert counts["rows"] == counts["rows_after"] == 23 * (200 * 390 - -(-200 * 390 // 9999))
    assert counts["files_before"] == 23
    assert 1 <= counts["files_after"] <= 3
    assert counts["left_to_do"] == 0


def test_the_coverage_page_counts_every_expected_session_and_every_bar() -> None:
    counts = outcome_of("coverage")
    sessions, members = 3772, 500 + 100  # every fifth symbol is in two universes
    assert (counts["rows"], counts["universes"], counts["findings"]) == (499 * sessions, 10, 2000)
    assert counts["expected"] == members * (sessions + 2)  # two sessions have closed since the last bar
    missing = counts["expected"] - counts["present"] - members * 2
    assert 1.15 * sessions < missing < 1.25 * sessions  # one bar of each session, a fifth of them in two universes


def test_facts_of_filers_become_versions_of_concepts() -> None:
    pytest.importorskip("quantx.providers.sec_facts")
    counts = outcome_of("facts")
    assert counts["facts"] > counts["values"] > 5 * counts["nulls"] > 0
    assert counts["changed"] < 0.05 * counts["facts"]


def test_a_session_of_option_quotes_is_staged_whole() -> None:
    rows = 512 * 391
    assert outcome_of("option-quotes") == {"rows": rows, "decoded": rows, "staged": rows, "files": 1}
