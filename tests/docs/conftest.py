from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tests.databases import Databases

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Path:
    """A folder with `sample-lake`, as docs/notebooks/sample_lake.py creates it."""
    spec = importlib.util.spec_from_file_location("sample_lake", NOTEBOOKS / "sample_lake.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("docs")
    with databases.empty() as url:
        module.sample_lake(folder / "sample-lake", url)
    return folder
