"""The documentation becomes a site without a broken link, which loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MKDOCS = ROOT / ".venv" / "site" / "bin" / "mkdocs"
_LOADED = re.compile(
    r"<(?:script|img|iframe|source)[^>]+src=[\"']?(?:https?:)?//[^\"'> ]+"
    r"|<link(?=[^>]+rel=[\"']?(?:stylesheet|preload|icon|preconnect))[^>]+href=[\"']?(?:https?:)?//[^\"'> ]+"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not MKDOCS.exists():
        pytest.skip("MkDocs is not installed; `make .venv/.site` installs it")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [MKDOCS, "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_site_is_built_strictly_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    assert {str(page.relative_to(site)): _LOADED.findall(page.read_text("utf-8")) for page in pages} == {
        str(page.relative_to(site)): [] for page in pages
    }
    assert [f for f in site.rglob("*.css") if re.search(r"(url\(|@import)\s*[\"']?https?:", f.read_text("utf-8"))] == []


@pytest.mark.slow
def test_each_page_of_the_readme_is_in_the_navigation(site: Path) -> None:
    table = re.findall(r"\]\(docs/([^)#]+)\.md\)", (ROOT / "README.md").read_text("utf-8").split("## Documentation")[1])
    front = (site / "index.html").read_text("utf-8")
    assert [page for page in table if f'href="{page}.html"' not in front] == []
