"""The notebooks, and the pages of other libraries, run beside this package over the sample lake, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".venv" / "libraries"
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
PAGES = sorted((ROOT / "docs" / "how-to").glob("use-with-*.md"))
# Any request over the network fails.
OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
OFFLINE |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "MPLBACKEND": "agg"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the notebooks' folder with the sample lake."""
    if not (HOME / ".done").exists():
        pytest.skip("the libraries are not installed; `sh requirements/libraries.sh` installs them")
    folder = tmp_path_factory.mktemp("libraries")
    shutil.copytree(ROOT / "docs" / "notebooks", folder, dirs_exist_ok=True)
    _run(folder, HOME / "bin" / "python", "sample_lake.py", "sample-lake")
    return folder


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(folder: Path, notebook: Path) -> None:
    _run(folder, HOME / "bin" / "jupyter-execute", notebook.name, "--kernel_name=python3")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_pages_of_libraries_run(folder: Path, page: Path) -> None:
    _run(folder, HOME / "bin" / "python", ROOT / "tests" / "docs" / "pages.py", page)


def _run(folder: Path, *command: str | Path) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **OFFLINE}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
