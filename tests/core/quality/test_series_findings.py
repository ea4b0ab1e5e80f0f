"""Many violations of a rule become one finding, which lists all of them."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from quantx.core.quality import RULES
from quantx.core.quality.series_findings import findings_of
from quantx.core.quality.series_rules import VIOLATIONS


def test_a_finding_lists_every_stretch() -> None:
    days = [date(2020, 1, 1) + timedelta(days=3 * at) for at in range(120)]
    rows = [("stale_run", "AAA", day, day + timedelta(days=1), 2, None) for day in days]
    (finding,) = findings_of(pl.DataFrame(rows, schema=VIOLATIONS, orient="row"), RULES)
    assert [stretch[0] for stretch in finding.facts["stretches"]] == [str(day) for day in days]
    assert (finding.facts["times"], finding.facts["rows"]) == (120, 240)
