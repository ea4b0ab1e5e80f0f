"""The values of views, and that the templates escape all of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from jinja2 import ChoiceLoader, DictLoader, UndefinedError

from quantx.pages.render import _environment
from quantx.pages.views import first_of, month_grid, month_text, per_cent, share_cell, table_of, text_of

HOSTILE = "<b onclick='x'>\"&"


def rendered(template: str, **values: Any) -> str:
    """Render a template with the environment of the pages."""
    pages = _environment("quantx.pages")
    here = pages.overlay(loader=ChoiceLoader([DictLoader({"here.html": template}), pages.loader]))  # type: ignore[list-item]
    return here.get_template("here.html").render(values)


def table(*arguments: Any) -> str:
    return rendered('{% from "macros.html" import table %}{{ table(view) }}', view=table_of(*arguments))


def grid(*arguments: Any) -> str:
    return rendered('{% from "macros.html" import month_grid %}{{ month_grid(view) }}', view=month_grid(*arguments))


@pytest.mark.parametrize(
    ("part", "whole", "text", "level"),
    [
        (5, 5, "100", "full"),
        (99_999, 100_000, "99.9", "high"),  # truncated: an incomplete share is never 100
        (990, 1000, "99", "high"),
        (989, 1000, "98", "part"),
        (949, 1000, "94", "low"),
        (499, 1000, "49", "poor"),
        (1, 900, "<1", "poor"),
        (0, 9, "0", "poor"),
    ],
)
def test_a_share_is_truncated_and_not_rounded(part: int, whole: int, text: str, level: str) -> None:
    cell = share_cell(part, whole, "sessions")
    assert (cell.text, cell.level, cell.title) == (text, level, f"{part:,} of {whole:,} sessions")


def test_per_cent_has_tenths() -> None:
    assert (per_cent(2, 3), per_cent(3, 3), per_cent(0, 3)) == (66.6, 100.0, 0.0)


def test_values_are_shown_as_people_read_them() -> None:
    values = [None, True, 1234, 0.5, 1 / 3, date(2024, 1, 2), datetime(2024, 1, 2, 3, 4, tzinfo=UTC), "x"]
    assert [text_of(v) for v in values] == ["–", "yes", "1,234", "0.5", "0.3333", "2024-01-02", "2024-01-02 03:04", "x"]
    assert (month_text(202410), month_text(None)) == ("2024-10", "–")
    assert (first_of("rows", 3, 3), first_of("rows", 3, 1000)) == ("rows", "rows: the first 3 of 1,000")


def test_all_text_is_escaped() -> None:
    made = table([{"a": HOSTILE, HOSTILE: 1}], HOSTILE) + table([], HOSTILE) + grid(HOSTILE, {})
    made += grid(HOSTILE, {202401: share_cell(1, 2, HOSTILE)})
    assert "<b" not in made
    assert "'x'" not in made
    assert made.count("&lt;b") == 9


def test_a_name_that_a_template_misses_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        rendered("{{ missing }}")


def test_numbers_are_aligned_and_an_empty_table_is_a_sentence() -> None:
    made = table([{"name": "x", "rows": 1234, "whole": True}])
    assert '<th scope="col">name</th><th scope="col" class="number">rows</th><th scope="col">whole</th>' in made
    assert '<td>x</td><td class="number">1,234</td><td>yes</td>' in made
    assert (table([]), table([], "rows")) == ("<p>none</p>", "<p>rows: none</p>")


def test_a_grid_has_a_row_for_each_year_and_a_gap_for_each_month_without_a_cell() -> None:
    made = grid("u", {202312: share_cell(1, 1, "s"), 202502: share_cell(1, 1, "s")})
    assert [year in made for year in ("2023", "2024", "2025")] == [True] * 3
    assert made.count("<td></td>") == 1 + 3 * 12 - 2
