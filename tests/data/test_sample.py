"""The sample's files are what its generator makes, are small, and are described."""

from __future__ import annotations

from pathlib import Path

from .generate import FOLDER, sample, unpacked

# Written by hand: the description, what the rules must find, and Python.
BY_HAND = {"README.md", "defects.csv"}


def committed() -> dict[str, Path]:
    found = (p for p in FOLDER.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc"))
    return {str(p.relative_to(FOLDER)): p for p in found}


def test_the_committed_files_are_what_the_generator_makes() -> None:
    made, files = sample(), committed()
    assert set(files) - BY_HAND == set(made), "run python -m tests.data.generate"
    different = [name for name, content in made.items() if unpacked(files[name]) != content]
    assert different == [], "run python -m tests.data.generate"


def test_the_sample_stays_small() -> None:
    assert sum(path.stat().st_size for path in committed().values()) < 1_000_000


def test_each_folder_is_described() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    folders = {str(Path(name).parent).removeprefix("wire_yahoo/") for name in sample()}
    folders = {"minute_us_lean" if folder.startswith("minute_us_lean/") else folder for folder in folders}
    assert {folder for folder in folders if f"`{folder}`" not in text} == set()
