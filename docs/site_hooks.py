"""Hooks of MkDocs: pages and files outside of docs/, the navigation, and lists as GitHub reads them.

The README is the front page, and its table of pages is the navigation: each row is a section, each link a page. Links
to files of the repository outside of docs/ lead to copies below `source/`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
OUTSIDE = {  # pages by their path in the repository
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "infra/README.md": "infra.md",
}
_LINK = re.compile(r"(\]\(|src=\")(?![a-z]+:|#|/)([^)\"#\s]+)")
_ROW = re.compile(r"^\| ([^|]+) \| (.*\]\(.*) \|$", re.MULTILINE)
_TITLED = re.compile(r"\[([^\]]+)\]\(([^)#]+\.md)\)")
_LIST_AFTER_TEXT = re.compile(r"^(?![ \t]*(?:[*+-]|\d+\.)\s|[ \t]*\||$)(.+)\n(?=(?:[*+-]|1\.) )", re.MULTILINE)
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_config(config: Any) -> Any:
    """Write the navigation from the README's table of pages."""
    config.nav = list(_sections())
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages outside of docs/, and the files that any page links to, also a page that is such a file."""
    texts = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    for path, address in OUTSIDE.items():
        texts[path] = (ROOT / path).read_text("utf-8")
        files.append(File.generated(config, address, content=texts[path]))
    linked: set[str] = set()
    pages = list(texts.items())
    while pages:
        for path in set(_targets(*pages.pop())) - linked:
            if _address(path).startswith("source/") and (ROOT / path).is_file():
                linked.add(path)
                if path.endswith(".md"):
                    pages.append((path, (ROOT / path).read_text("utf-8")))
    for path in sorted(linked):
        files.append(File.generated(config, _address(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links to the addresses of the site, and begin lists where GitHub begins them."""
    uri = page.file.src_uri
    inside = uri.removeprefix("source/") if uri.startswith("source/") else f"docs/{uri}"
    origin = next((path for path, address in OUTSIDE.items() if address == uri), inside)

    def link(match: re.Match[str]) -> str:
        address = _address(_resolve(origin, match[2]))
        return match[1] + posixpath.relpath(address, posixpath.dirname(uri) or ".")

    parts = _FENCE.split(markdown)
    parts[::2] = [_LIST_AFTER_TEXT.sub(r"\1\n\n", _LINK.sub(link, part)) for part in parts[::2]]
    return "".join(parts)


def _sections() -> Iterator[dict[str, Any]]:
    """Return the front page, and a section per row of the README's table: name and pages by title."""
    yield {"Home": "index.md"}
    text = (ROOT / "README.md").read_text("utf-8")
    for name, cell in _ROW.findall(text):
        links = _TITLED.findall(name) or _TITLED.findall(cell)
        title = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", name)
        yield {title: [{_titled(words): _address(_resolve("README.md", path))} for words, path in links]}


def _titled(words: str) -> str:
    return words[:1].upper() + words[1:]


def _targets(page: str, text: str) -> Iterator[str]:
    for part in _FENCE.split(text)[::2]:
        yield from (_resolve(page, target) for _, target in _LINK.findall(part))


def _resolve(page: str, target: str) -> str:
    """Return the path in the repository of a link's target."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def _address(path: str) -> str:
    """Return the address in the site of a path in the repository."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path}"
