"""The documentation is complete: references are in step, links and paths exist, examples parse, figures exist."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import typer

from quantx.cli import main
from quantx.cli.app import app
from quantx.core.quality import FINDING_RULES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", _generator().PAGES)
def test_what_is_written_from_the_program_is_in_step_with_it(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == _generator().PAGES[name](), "run `make reference`"


def test_every_rule_is_documented_once_and_completely() -> None:
    page = (ROOT / "docs" / "data-quality.md").read_text("utf-8")
    for rule in FINDING_RULES.values():
        assert page.count(f"\n### `{rule.id}`\n") == 1
        for text in (rule.meaning, rule.why, rule.reference):
            assert text in page


def test_recorded_defects_become_a_table(tmp_path: Path) -> None:
    generate = _generator()
    assert generate._defects(tmp_path / "defects.csv") == ""
    (tmp_path / "defects.csv").write_text(
        "file,defect,rule,rows,first,last\nEAI,a|b,prices_present,3163,2007-12-18,2024-03-07\n"
    )
    table = generate._defects(tmp_path / "defects.csv")
    assert table.endswith("| EAI | a/b | prices_present | 3163 | 2007-12-18 | 2024-03-07 |\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", page.read_text("utf-8"))
    missing = [t for pair in targets for t in pair if t and "://" not in t and not (page.parent / t).exists()]
    assert missing == []


def test_figures_of_cost_are_printed_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "cost.md").read_text("utf-8")
    shown = re.findall(r"```console\n\$ quantx (cost [^\n]* --reference)\n(.*?)```", text, re.DOTALL)
    assert [shlex.split(line)[2] for line, _ in shown] == ["500", "5000"]
    for line, printed in shown:
        assert main([*shlex.split(line), "--prices", str(ROOT / "config" / "prices.yaml")]) == 0
        assert capsys.readouterr().out == printed, "run the command, and put what it prints into docs/cost.md"


def _commands_in(page: Path) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line[2:].split("  #")[0] for line in lines if line.startswith("$ quantx ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_in_the_text_parse(page: Path) -> None:
    command = typer.main.get_command(app)
    for line in _commands_in(page):
        words = shlex.split(line)[1:]
        group = command
        while words and words[0] in getattr(group, "commands", {}):
            group = group.commands[words.pop(0)]  # type: ignore[union-attr]
        assert group is not command, f"{page.name}: no command in `{line}`"
        group.make_context("quantx", list(words), resilient_parsing=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_in_the_text_parses(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        assert ast.parse(block).body


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            if (page.parent / target).is_file():
                waiting.append((page.parent / target).resolve())
    assert [p for p in PAGES if p.resolve() not in {s.resolve() for s in seen}] == []


def test_what_is_shipped_is_the_configuration_here() -> None:
    for name in ("universes.yaml", "settings.yaml"):
        assert (ROOT / "config" / name).read_text() == (ROOT / "src/quantx/cli/templates" / name).read_text()
    prices = ROOT / "src/quantx/pipeline/reporting/prices.yaml"
    assert (ROOT / "config/prices.yaml").read_text() == prices.read_text()
    study = ROOT / "src/quantx/cli/templates/momentum_value.yaml"
    assert (ROOT / "examples/momentum_value/study.yaml").read_text() == study.read_text()
    concepts = ROOT / "config/concepts.yaml"
    assert concepts.read_text() == (ROOT / "src/quantx/settings/concepts.yaml").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_paths_of_modules_in_the_text_exist(page: Path) -> None:
    paths = re.findall(r"`([\w./-]+/[\w.-]*\.(?:py|sql|yaml|sh|bicep))`", page.read_text("utf-8"))
    bases = (ROOT, ROOT / "src" / "quantx", ROOT / "infra")
    assert [p for p in paths if not any((base / p).exists() for base in bases)] == []


def test_classes_on_the_way_of_a_bar_exist() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    names = re.findall(r"`([A-Z][a-z]+[A-Za-z]*)(?:\.[a-z]+)?`", page)
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert names
    assert [name for name in names if f"\nclass {name}" not in source] == []
