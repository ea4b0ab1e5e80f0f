"""DBN of options: recorded files, whose rows are known."""

from __future__ import annotations

from datetime import date

import pytest
from tests.market_data import FOLDER

from quantx.providers.options.archives import open_archive
from quantx.providers.options.forms import form_of
from quantx.providers.options.protocol import OptionMember

OPRA = FOLDER / "databento" / "databento-python" / "OPRA.PILLAR"
pytestmark = pytest.mark.skipif(not OPRA.is_dir(), reason="needs the recorded DBN files")


def member_of(schema: str) -> OptionMember:
    archive = open_archive(OPRA / f"test_data.{schema}.dbn.zst")
    (member,) = archive.members
    form = form_of(member.name, archive.head(member))
    assert form is not None
    return form.open(member.name, archive.open(member), member.size)


def test_quotes_at_the_ends_of_minutes() -> None:
    member = member_of("cbbo-1m")
    (batch,) = member.batches()
    assert member.facts.first == member.facts.last == batch.date == date(2025, 2, 20)
    assert member.contracts["contract"].to_list() == ["AAPL250221C00250000"]
    assert batch.rows.select("bid", "ask", "bid_size", "ask_size", "last", "last_size").rows() == [
        (None, None, 0, 0, None, None),
        (0.32, 0.34, 104, 132, 0.34, 1),
        (0.43, 0.45, 1, 135, 0.45, 1),
        (0.34, 0.36, 62, 79, 0.34, 1),
    ]
