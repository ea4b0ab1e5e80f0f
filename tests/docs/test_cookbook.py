"""Every recipe of the cookbook runs over the sample lake, and shows something."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import executed

PAGE = Path(__file__).parents[2] / "docs" / "cookbook.md"


@pytest.mark.slow
def test_recipes_run_and_show_something(sample_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sample_folder)
    blocks = executed(PAGE)[1:]
    recipes = re.findall(r"^### (\d+)\. ", PAGE.read_text("utf-8"), re.MULTILINE)
    assert recipes == [str(number) for number in range(1, len(blocks) + 1)]
    assert len(blocks) >= 20
    assert [block for block, shown in blocks if not _amount(shown)] == []


def _amount(shown: Any) -> int:
    """Return the number of rows or names that a recipe shows, or the number that it shows."""
    return len(shown) if hasattr(shown, "__len__") else int(shown or 0)
