"""Writes docs/reference/*.md from the program itself: `make docs`. A test holds them in step."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from quantx.cli.app import app
from quantx.core.quality import RULES
from quantx.core.tables import MEANINGS, TABLES
from quantx.providers.refusals import Refusal
from quantx.providers.registry import VENDORS
from quantx.settings import Settings

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- written by `make docs`; do not edit -->\n\n"


def commands() -> str:
    """Return the reference of the commands."""
    root: Any = typer.main.get_command(app)
    parts = [NOTE, "# Commands\n\nExit codes: 0 done, 1 finished with failures, 2 usage or configuration.\n"]
    for name, command in _walk("quantx", root):
        text, _, example = (command.help or "").partition("Example: ")
        parts.append(f"\n## `{name}`\n\n{' '.join(text.split())}\n")
        if example:
            parts.append(f"\n```console\n$ {' '.join(example.split())}\n```\n")
        options = [p for p in command.params if p.name != "help"]
        if options:
            parts.append("\n| option | meaning | default |\n|---|---|---|\n")
            parts += [_option(p) for p in options]
    return "".join(parts)


def settings() -> str:
    """Return the reference of the settings."""
    head = (
        "# Settings\n\nFlags win over the environment, the environment over `config/settings.yaml` (or the file that"
        " `QUANTX_SETTINGS_FILE` names), that over the defaults. `quantx config` shows what is in force.\n\n"
        "| variable | in the file | meaning | default |\n|---|---|---|---|\n"
    )
    return NOTE + head + "".join(_setting(name, field) for name, field in Settings.model_fields.items())


def tables() -> str:
    """Return the data dictionary."""
    parts = [
        NOTE,
        "# Tables\n\nDelta tables under `<lake>/curated`, and `<lake>/quarantine`. Files are Parquet, zstd.\n",
    ]
    for table in TABLES.values():
        folders = ", ".join(f"`{p}`" for p in table.partitions) or "none"
        parts.append(f"\n## `{table.name}`\n\nOne row per {', '.join(table.key)}. Folders: {folders}.\n\n")
        parts.append("| column | type | meaning |\n|---|---|---|\n")
        parts += [f"| `{c}` | {_type(t)} | {MEANINGS[c]} |\n" for c, t in table.schema.items()]
    parts.append(
        "\n## Rules\n\nWhat a row must fulfil; the ids stand in `quarantine.rules`.\n\n| id | rule |\n|---|---|\n"
    )
    parts += [f"| `{rule.id}` | {rule.meaning} |\n" for rule in RULES.values()]
    return "".join(parts)


_BASES = {
    "as_traded": "as traded",
    "split_adjusted": "divided by splits; turned back to as traded with the splits of the same answer",
    "fully_adjusted": "divided by splits and dividends; can't be turned back, kept apart in `bars_1d_adjusted`",
}


def providers() -> str:
    """Return the reference of the vendors."""
    parts = [
        NOTE,
        "# Vendors\n\nWho is asked, and in which order, is the setting `sources`. A vendor whose key is missing is not asked."
        " [Add a provider](../how-to/add-a-provider.md) tells how another one is added.\n\n"
        "| source | markets | timeframes | datasets | symbols per request | requests | keys |\n|---|---|---|---|---|---|---|\n",
    ]
    for source, vendor in VENDORS.items():
        can = vendor.capabilities
        at_once = {can.symbols_at_once(timeframe): timeframe for timeframe in reversed(can.timeframes)}
        most = ", ".join(f"{n} ({timeframe})" if len(at_once) > 1 else str(n) for n, timeframe in at_once.items())
        keys = ", ".join(f"`QUANTX_{name.upper()}`" for name in vendor.keys) or "none"
        lists = (", ".join(names) for names in (can.markets, can.timeframes, can.datasets))
        parts.append(f"| `{source}` | {' | '.join(lists)} | {most} | {can.quota} | {keys} |\n")
    parts.append(
        "\nWhere the dataset `actions` is not named, splits and dividends come with the bars, or not at all."
        " `requests` is what all workers together send at most, unless [a setting](settings.md) says otherwise.\n"
    )
    parts += [_provider(source) for source in VENDORS]
    return "".join(parts)


def _provider(source: str) -> str:
    module = import_module(f"quantx.providers.{source}")
    about = (module.__doc__ or "").split("\n\n")
    basis = _BASES[VENDORS[source].capabilities.price_basis]
    text = [f"\n## `{source}`\n\n", *(" ".join(part.split()) + "\n\n" for part in about), f"Prices: {basis}.\n"]
    refusals: tuple[Refusal, ...] = getattr(module, "REFUSALS", ())
    if refusals:
        text.append("\n| says | which means | seen |\n|---|---|---|\n")
        text += [f"| {r.words} | `{r.means.__name__}`: it {r.text} | {r.seen} |\n" for r in refusals]
    return "".join(text)


PAGES = {"commands.md": commands, "settings.md": settings, "tables.md": tables, "providers.md": providers}


def _walk(name: str, command: Any) -> list[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if not children:
        return [(name, command)]
    return [pair for child in sorted(children) for pair in _walk(f"{name} {child}", children[child])]


def _option(parameter: Any) -> str:
    flags = ", ".join(f"`{flag}`" for flag in [*parameter.opts, *parameter.secondary_opts])
    default = "required" if parameter.required else parameter.default
    shown = "" if default in (None, False, "") else f"`{default}`" if default != "required" else default
    return f"| {flags} | {parameter.help or ''} | {shown} |\n"


def _setting(name: str, field: Any) -> str:
    alias = field.validation_alias
    earlier = [c for c in alias.choices if c not in (name, f"QUANTX_{name.upper()}")] if alias else []
    names = ", ".join(f"`{n}`" for n in [f"QUANTX_{name.upper()}", *earlier])
    default = "" if field.default is None else f"`{field.default}`"
    return f"| {names} | `{name}` | {field.description} | {default} |\n"


def _type(dtype: Any) -> str:
    return str(dtype() if isinstance(dtype, type) else dtype).replace("time_unit='us', time_zone='UTC'", "us, UTC")


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")
        sys.stdout.write(f"written {FOLDER / name}\n")


if __name__ == "__main__":
    main()
