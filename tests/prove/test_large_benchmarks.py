"""The benchmarks with processes of their own run at a tenth of their size and count what they say."""

from __future__ import annotations

from tests.benchmarks.outcomes import outcome_of


def test_a_backfill_within_the_quota_asks_once_for_each_symbol_and_is_never_refused() -> None:
    sessions = 250  # of New York, 2025
    assert outcome_of("b1") == {"symbols": 50, "requests": 50, "refused": 0, "rows": 50 * sessions}


def test_a_backfill_is_curated_with_one_commit_per_table_and_round() -> None:
    counts = outcome_of("b2")
    sessions, rounds = 5031, counts["commits"] // 3  # of New York, 2006 to 2025
    assert 1 <= rounds <= 2
    assert counts == {
        "payloads": 50,
        "raw_objects": counts["raw_objects"],
        "rows": 50 * sessions,
        "actions": counts["actions"],
        "rejected": 0,
        "commits": rounds * 3,  # bars, actions, proofs of these
        "files": rounds * 20,
    }
    assert counts["actions"] > 25 * 4 * 19


def test_damage_of_nearly_every_kind_is_found_and_clean_files_raise_little() -> None:
    """One try of each kind: some are missed by chance, and a few files have no market."""
    counts = outcome_of("recall")
    assert counts["kinds"] > 50
    assert counts["missed"] <= 8
    assert counts["alarms"] <= 1
    assert counts["hidden_splits"] > 0


def test_on_azurite_it_is_the_same_and_every_request_is_of_a_known_kind() -> None:
    counts = outcome_of("b3-azure")
    assert counts["rows"] == 500 * (3773 - 10 - 1)
    assert counts["new"] == 10 * 500
    assert counts["commits"] == 10 * 2
    assert counts["PUT log entry"] == 10 * 2 + 1  # the table of revisions is created by its first commit
    assert counts["PUT rows"] >= 10 * 2


def test_tasks_through_azurite_are_done_once_and_leave_no_message() -> None:
    counts = outcome_of("b5")
    assert 2 <= counts.pop("raw_objects") <= 16  # slow batches land a few replies at a time
    assert counts == {"tasks": 64, "done": 64, "requests": 64, "rows": 64 * 5, "messages_left": 0, "messages_alone": 64}


def test_a_daily_run_is_complete_with_both_queues() -> None:
    assert outcome_of("daily") == {"tasks": 600, "done": 600, "rows": 600}


def test_replies_of_each_size_land() -> None:
    assert outcome_of("memory") == {"landed": 32 + 32 + 24}


def test_features_are_computed_for_every_row() -> None:
    counts = {"rows": 50 * 5000, "indicators": 45, "tails": 500, "alpha": 158}
    assert outcome_of("features") == counts
