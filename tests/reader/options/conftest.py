from __future__ import annotations

import pytest

from ..option_lake import OptionLake, option_lake


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> OptionLake:
    return option_lake(tmp_path_factory.mktemp("options") / "lake")
