"""Write docs/reference/*.md and docs/data-quality.md from the program: `make reference`. A test keeps them in step."""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

from quantx.cli.app import app
from quantx.core.alert_rules import ALERT_RULES
from quantx.core.asset_classes import ASSET_CLASS_NAMES
from quantx.core.cost import StageUsage
from quantx.core.dictionary import fields_of
from quantx.core.features.feature import CarriedMemory, Feature, Memory
from quantx.core.features.sets import SETS
from quantx.core.features.tables import FEATURE_TABLES, ZONE, feature_of
from quantx.core.fundamentals.reasons import REASONS
from quantx.core.fundamentals.revisions import CLASSES
from quantx.core.quality import POLICY_VERSION, RULES
from quantx.core.quality import operational_rules as operational
from quantx.core.quality.rule import Rule
from quantx.core.symbols import MARKETS
from quantx.core.tables import TABLES
from quantx.dashboard.api.resources import RESOURCES
from quantx.pipeline.reporting.cost import estimate, read_prices
from quantx.pipeline.reporting.cost import page as cost_page
from quantx.pipeline.reporting.usage import measured_runs
from quantx.providers.refusals import Refusal
from quantx.providers.registry import VENDORS
from quantx.reader.export import layouts
from quantx.reader.export import reference as export_reference
from quantx.reader.sql.catalog import VIEWS, columns_of
from quantx.settings import SettingReference, setting_references
from quantx.settings.concepts import shipped_concepts
from quantx.state.runs.port import RunUsage

FOLDER = Path(__file__).parent
NOTE = "<!-- written by `make reference`; do not edit -->\n\n"


def commands() -> str:
    """Return the reference of the commands."""
    root: Any = typer.main.get_command(app)
    parts = [NOTE, "# Commands\n\nExit codes: 0 done, 1 finished with failures, 2 usage or configuration.\n"]
    for name, command in _walk("quantx", root):
        text, _, example = (command.help or "").partition("Example: ")
        parts.append(f"\n## `{name}`\n\n{' '.join(text.split())}\n")
        if example:
            parts.append(f"\n```console\n$ {' '.join(example.split())}\n```\n")
        options = [p for p in command.params if p.name != "help" and not p.hidden]
        if options:
            parts.append("\n| option | meaning | default |\n|---|---|---|\n")
            parts += [_option(p) for p in options]
    return "".join(parts)


def settings() -> str:
    """Return the reference of the settings."""
    head = (
        "# Settings\n\nPrecedence: flags, then the environment, then `.env` (beside the settings file, or in the"
        " working folder), then `config/settings.yaml` (or the file in `QUANTX_SETTINGS_FILE`), then the defaults."
        " `quantx config` shows the effective settings.\n\n"
        "| variable | in the file | meaning | default |\n|---|---|---|---|\n"
    )
    vendors = (
        "\nThe settings of a vendor are also a section: `alpaca: {feed: sip}` in the file is `alpaca_feed: sip`, and in"
        " Python `settings.alpaca.feed`.\n"
    )
    rows = "".join(_setting(name, setting) for name, setting in setting_references().items())
    return NOTE + head + rows + vendors


def alerts() -> str:
    """Return the rules of alerts."""
    parts = [
        NOTE,
        "# Alerts\n\nThe conditions of which a beginning and an end are sent"
        " ([how to send alerts](../how-to/send-alerts.md)). The setting `alerts_rules` changes `send` and `limit`.\n\n",
        "| rule | severity | send | limit | when | then |\n|---|---|---|---|---|---|\n",
    ]
    for rule in ALERT_RULES.values():
        limit = f"{rule.limit:g} {rule.unit}" if rule.limit is not None else f"none ({rule.unit})" if rule.unit else ""
        cells = (f"`{rule.id}`", rule.severity, f"`{rule.send}`", limit, rule.meaning, rule.next_step)
        parts.append(f"| {' | '.join(cells)} |\n")
    return "".join(parts)


def http() -> str:
    """Return the reference of the data over HTTP."""
    parts = [
        NOTE,
        "# Data over HTTP\n\nEach address has the parameters of the method of `quantx.open_lake()` with its name, and"
        " `format`: `json`, `csv` or `arrow`. Entries of a list are separated by commas.\n",
    ]
    for resource in RESOURCES.values():
        parts.append(f"\n## `GET {resource.path}`\n\n{resource.summary}\n")
        parameters = resource.parameters.all.values()
        if parameters:
            parts.append("\n| parameter | values | default | meaning |\n|---|---|---|---|\n")
        for each in parameters:
            default = "required" if each.required else "" if each.default is None else f"`{str(each.default).lower()}`"
            parts.append(f"| `{each.name}` | {each.values} | {default} | {each.meaning} |\n")
    return "".join(parts)


def tables() -> str:
    """Return the data dictionary."""
    parts = [
        NOTE,
        "# Tables\n\nDelta tables under `<lake>/curated`, `<lake>/features` and `<lake>/quarantine`."
        " Files are Parquet, zstd.\n\n"
        "*From* is the provenance of a column: the vendor's reply (`vendor`; converted to as-traded where the vendor"
        " sends adjusted prices), the request (`request`), the source of a universe or of the symbol history (`list`),"
        " `universes.yaml` (`settings`), a manual decision (`person`), or this program (`quantx`). Dates are days of"
        " the exchange, instants are UTC. [Data quality](../data-quality.md) lists the rules for rows.\n",
    ]
    for table in TABLES.values():
        folders = ", ".join(f"`{p}`" for p in table.partitions) or "none"
        parts.append(f"\n## `{table.name}`\n\nOne row per {', '.join(table.key)}. Folders: {folders}.\n\n")
        parts.append("| column | type | unit | zone | null | from | meaning |\n|---|---|---|---|---|---|---|\n")
        parts += [
            f"| `{f.name}` | {_type(f.dtype)} | {f.unit} | {f.zone} | {'may be' if f.nullable else 'never'}"
            f" | {f.origin} | {f.meaning} |\n"
            for f in fields_of(table)
            if feature_of(table, f.name) is None
        ]
        if table.zone == ZONE:
            name = table.name.removesuffix("_revisions").rpartition("_")[0]
            parts.append(f"\nBesides, a column per feature (`quantx features list --set {name}`), Float64 or null.\n")
    return "".join(parts)


def data_quality() -> str:
    """Return the page of the rules: a hand-written introduction, each rule by its module, and recorded defects."""
    intro = (FOLDER / "data-quality.intro.txt").read_text("utf-8").format(policy=POLICY_VERSION)
    groups: dict[str, list[Rule]] = defaultdict(list)
    for rule in RULES.values():
        groups[_module_of(rule)].append(rule)
    parts = [NOTE, intro]
    for module, rules in groups.items():
        parts.append(_heading(sys.modules[module]))
        parts += [_rule(rule) for rule in rules]
    parts.append(_heading(operational))
    parts += [_operational_rule(rule) for rule in operational.OPERATIONAL_RULES]
    return "".join([*parts, _defects(FOLDER / "defects.csv")])


def _heading(module: ModuleType) -> str:
    """Return a heading from the first paragraph of a module's docstring."""
    about = (module.__doc__ or "").split("\n\n")[0]
    return f"\n## {' '.join(about.split()).rstrip('.')}\n"


def _module_of(rule: Rule) -> str:
    """Return the name of the module that declares a rule in a tuple; modules of core.quality come first."""
    declaring = [
        name
        for name, module in sys.modules.items()
        if name.startswith("quantx.") and not hasattr(module, "__path__") and any(rule in x for x in _tuples(module))
    ]
    return min(declaring, key=lambda name: not name.startswith("quantx.core.quality."))


def _tuples(module: Any) -> list[tuple[Any, ...]]:
    return [x for x in vars(module).values() if isinstance(x, tuple) and x and all(isinstance(r, Rule) for r in x)]


def _rule(rule: Rule) -> str:
    tables_ = ", ".join(f"`{name.strip()}`" for name in rule.dataset.split(","))
    markets = "all markets" if set(rule.markets) == set(MARKETS) else f"markets {', '.join(rule.markets)}"
    if rule.classes != ASSET_CLASS_NAMES:
        markets += f" · classes {', '.join(rule.classes)}"
    return (
        f"\n### `{rule.id}`\n\n**{rule.severity}** · {tables_} · {markets}\n\nViolation: {rule.meaning}.\n"
        f"\nWhy: {rule.why}.\n\nSeen or defined: {rule.reference}.\n"
    )


def _operational_rule(rule: operational.OperationalRule) -> str:
    return (
        f"\n### `{rule.id}`\n\n**{rule.severity}** · about: {rule.subject}\n\nViolation: {rule.meaning}.\n"
        f"\nWhy: {rule.why}.\n\nDetected by: {rule.reference}.\n"
    )


def _defects(path: Path) -> str:
    """Return the table of defects in recorded files: the columns file, defect, rule, rows, first and last."""
    if not path.exists():
        return ""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("file", "defect", "rule", "rows", "first", "last")
    head = (
        "\n## Defects in recorded files\n\nDefects in files that vendors sent, and the rows that violate a rule.\n\n"
        f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n"
    )
    return head + "".join(f"| {' | '.join(row[name].replace('|', '/') for name in names)} |\n" for row in rows)


_BASES = {
    "as_traded": "as traded",
    "split_adjusted": "split-adjusted; converted to as-traded with the splits of the same reply",
    "fully_adjusted": "adjusted for splits and dividends; not convertible, stored in `bars_1d_adjusted`",
}


def providers() -> str:
    """Return the reference of the vendors."""
    parts = [
        NOTE,
        "# Vendors\n\nThe setting `sources` chooses the vendors and their order. A vendor without its key is skipped."
        " [Add a provider](../how-to/add-a-provider.md) shows how to add a vendor.\n\n"
        "| source | markets | timeframes | datasets | symbols per request | rate limit | keys |\n"
        "|---|---|---|---|---|---|---|\n",
    ]
    for source, vendor in VENDORS.items():
        can = vendor.capabilities
        at_once = {can.symbols_at_once(timeframe): timeframe for timeframe in reversed(can.timeframes)}
        most = ", ".join(f"{n} ({timeframe})" if len(at_once) > 1 else str(n) for n, timeframe in at_once.items())
        keys = ", ".join(f"`QUANTX_{name.upper()}`" for name in vendor.keys) or "none"
        if vendor.settings_type.needs:  # no secret
            keys = "`QUANTX_CONTACT`"
        lists = (", ".join(names) or "–" for names in (can.markets, can.timeframes, can.datasets))
        parts.append(
            f"| `{source}` | {' | '.join(lists)} | {most or can.symbols_per_request} | {can.quota} | {keys} |\n"
        )
    parts.append(
        "\nWithout the dataset `actions`, splits and dividends come with the bars, or not at all. The rate limit is"
        " shared by all workers of a fleet; [a setting](settings.md) changes it.\n"
    )
    parts += [_provider(source) for source in VENDORS]
    return "".join(parts)


def _provider(source: str) -> str:
    module = import_module(f"quantx.providers.{source}")
    about = (module.__doc__ or "").split("\n\n")
    basis = _BASES[VENDORS[source].capabilities.price_basis]
    text = [f"\n## `{source}`\n\n", *(" ".join(part.split()) + "\n\n" for part in about)]
    if "bars" in VENDORS[source].capabilities.datasets:
        text.append(f"Prices: {basis}.\n")
    refusals: tuple[Refusal, ...] = getattr(module, "REFUSALS", ())
    if refusals:
        text.append("\n| reply | error | seen |\n|---|---|---|\n")
        text += [f"| {r.words} | `{r.means.__name__}`: the vendor {r.text} | {r.seen} |\n" for r in refusals]
    return "".join(text)


def exports() -> str:
    """Return the reference of the layouts of `quantx export`."""
    parts = [
        NOTE,
        "# Exports\n\n`quantx export DIR --layout NAME` and `lake.export(DIR, layout)`;"
        " [how to export](../how-to/export.md) explains how they work. Parquet files are zstd.\n",
    ]
    for layout in layouts.LAYOUTS.values():
        parts.append(f"\n## `{layout.name}`\n\nFor {layout.purpose}.\n")
        for timeframe, files in layout.bars.items():
            rows = [(c.name, c.dtype, c.meaning) for c in files.columns]
            parts += [f"\n{'Daily bars' if timeframe == '1d' else 'Minute bars'}: `{files.path}`\n\n", _columns(rows)]
        if layout.reference:
            parts += [_reference_file(path, columns) for path, columns in export_reference.FILES.items()]
    return "".join(parts)


def _columns(rows: list[tuple[str, str, str]]) -> str:
    head = "| column | type | meaning |\n|---|---|---|\n"
    return head + "".join(f"| `{name}` | {dtype} | {meaning} |\n" for name, dtype, meaning in rows)


def _reference_file(path: str, columns: Mapping[str, str]) -> str:
    rows = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in columns.items())
    return f"\n`{path}`\n\n| column | meaning |\n|---|---|\n{rows}"


def sql() -> str:
    """Return the reference of the tables and views of SQL."""
    parts = [
        NOTE,
        "# SQL\n\nThe tables and views of `lake.sql` and `quantx sql`: [how to](../how-to/query-with-sql.md).\n\n"
        "## Views\n\n| view | rows | columns |\n|---|---|---|\n",
    ]
    columns = columns_of()
    for view in VIEWS.values():
        of_features = view.name.removesuffix("_asof") in {table.name for table in FEATURE_TABLES}
        shown = f"those of `{view.reads[0]}`" if of_features else ", ".join(columns[view.name])
        parts.append(f"| `{view.call}` | {view.meaning} | {shown} |\n")
    parts.append(
        "\n`moment` is a date (its end) or an instant as in '2024-01-31T15:30:00Z', UTC; `day` is a date.\n\n"
        "## Tables\n\n[Their columns](tables.md): " + ", ".join(f"`{table}`" for table in TABLES) + ".\n"
    )
    return "".join(parts)


_RULES = {
    "priority": "the first tag",
    "newest": "the tag filed last",
    "larger": "the larger one",
    "sizeable": "the first sizeable one",
}


def concepts() -> str:
    """Return the reference of the standard concepts, of null values and of the classes of changed facts."""
    parts = [NOTE, (FOLDER / "concepts.intro.txt").read_text("utf-8")]
    shipped = shipped_concepts().concepts
    for statement, title in _STATEMENTS.items():
        some = {name: concept for name, concept in shipped.items() if concept.statement == statement}
        parts.append(
            f"\n## {title}\n\n| concept | meaning | unit | negative | of several tags |\n|---|---|---|---|---|\n"
        )
        for name, concept in some.items():
            notes = f". {concept.notes[0].upper()}{concept.notes[1:]}" if concept.notes else ""
            unit = (
                f"{concept.unit.replace('_', ' ')}, {'at the end of' if concept.kind == 'instant' else 'over'} a period"
            )
            negative = "suspicious" if concept.sign == "positive" else "may be"
            parts.append(f"| `{name}` | {concept.title}{notes} | {unit} | {negative} | {_RULES[concept.rule]} |\n")
        parts.append("\n| concept | taxonomy | tags by priority, and formulas |\n|---|---|---|\n")
        for name, concept in some.items():
            parts += [
                f"| `{name}` | {taxonomy} | {', '.join(f'`{tag}`' for tag in tags)} |\n"
                for taxonomy, tags in concept.tags.items()
            ]
            if concept.formulas:
                parts.append(f"| `{name}` | formula | {', else '.join(f'`{text}`' for text in concept.formulas)} |\n")
    parts.append("\n## Reasons of null values\n\n| reason | meaning |\n|---|---|\n")
    parts += [f"| `{reason}` | {meaning} |\n" for reason, meaning in REASONS.items()]
    parts.append(
        "\n## Classes of changed facts\n\nThe column `revision` of `fundamentals_facts` compares a fact with the value"
        " filed before for the same item and period; it is null for the first report.\n\n"
        "| class | the new value is |\n|---|---|\n"
    )
    parts += [f"| `{name}` | {meaning} |\n" for name, meaning in CLASSES.items()]
    return "".join(parts)


_STATEMENTS = {
    "income": "Income statement",
    "balance": "Balance sheet",
    "cash_flow": "Cash flow",
    "per_share": "Per share",
    "shares": "Shares",
}


def features() -> str:
    """Return the reference of the feature sets."""
    parts = [NOTE, (FOLDER / "features.intro.txt").read_text("utf-8")]
    for each in SETS.values():
        about = " ".join(
            (import_module(f"quantx.core.features.{each.name}").__doc__ or "").partition("\n\n")[2].split()
        )
        parts.append(
            f"\n## {each.name}\n\n{each.title}: {len(each.features)} features.{f' {about}' if about else ''}\n\n"
        )
        parts.append("| feature | formula | source | inputs | basis | unit | rows needed | version |\n")
        parts.append("|---|---|---|---|---|---|---|---|\n")
        parts += [_feature(feature) for feature in each.features]
    return "".join(parts)


def _feature(feature: Feature) -> str:
    formula = feature.formula.replace("|", "\\|")
    inputs = ", ".join(f"`{name}`" for name in feature.inputs)
    rows = f"{feature.horizon} ahead" if feature.horizon else _memory(feature.memory)
    cells = (f"`{feature.name}`", formula, feature.source, inputs, feature.basis, feature.unit, rows, feature.version)
    return f"| {' | '.join(map(str, cells))} |\n"


def _memory(memory: Memory) -> str:
    if isinstance(memory, CarriedMemory):
        return "stored value" if memory.count == 1 else f"stored value, {memory.count}"
    return f"{memory.count}, {memory.moves} with moves" if memory.moves else str(memory.count)


def usage() -> str:
    """Return the requests and statements of a daily run by stage."""
    measured, runs = measured_runs()
    counts = {"writes": "blob writes and lists", "reads": "blob reads", "queue": "queue", "statements": "statements"}
    sizes = [f"{run.symbols:,} symbols" for run in runs]
    heads = [f"{what}, {size}" for what in counts.values() for size in sizes]
    lines = [_usage_row("stage", heads), "|---|" + "---:|" * len(heads) + "\n"]
    for stage in dict.fromkeys(name for run in runs for name in run.stages):
        stages = [run.stages.get(stage, StageUsage()) for run in runs]
        lines.append(_usage_row(stage, [f"{getattr(s, column):,}" for column in counts for s in stages]))
    lines.append(_usage_row("**all**", [f"**{run.total(column):,}**" for column in counts for run in runs]))
    return (
        f"{NOTE}# Usage of a daily run\n\n"
        "Storage requests and statements of PostgreSQL in a daily run with one new session of each symbol, by stage:"
        f" planned, fetched, curated and inspected by one worker, with Azure's queue. Counted on {measured} by"
        " `python -m benchmarks.usage --write`, on Azurite behind a proxy that records each request; fetching has no"
        " requests here but those of the rate limit's state, as the vendor's requests are one a symbol. The vendor has"
        " no quota, so that batches grow; with a slow quota 32 tasks make a raw object, 157 of 5,000 symbols."
        " `quantx cost` computes the requests of a month from this table: a line through the two sizes, as a"
        " part of each count does not depend on the symbols.\n\n"
        f"{''.join(lines)}"
        "\nA list of blobs costs as much as a write, ten times as much as a read; deletes cost nothing. A statement is"
        " one round trip to PostgreSQL, with the check of a connection before its use and without the ends of"
        " transactions.\n"
    )


def cost() -> str:
    """Return the page about the cost with what `quantx cost` prints now."""
    text = (FOLDER / "cost.md").read_text("utf-8")
    prices = FOLDER.parent / "config" / "prices.yaml"
    table = read_prices(prices.read_text("utf-8"), prices.name)

    def printed(block: re.Match[str]) -> str:
        return f"{block[1]}{cost_page(estimate(table, RunUsage(), int(block[2]), 21))}\n```"

    return re.sub(r"(\$ quantx cost --symbols (\d+) --reference\n).*?\n```", printed, text, flags=re.DOTALL)


def _usage_row(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |\n"


PAGES = {
    "reference/concepts.md": concepts,
    "reference/features.md": features,
    "reference/sql.md": sql,
    "reference/exports.md": exports,
    "reference/commands.md": commands,
    "reference/settings.md": settings,
    "reference/alerts.md": alerts,
    "reference/tables.md": tables,
    "reference/http.md": http,
    "reference/providers.md": providers,
    "reference/usage.md": usage,
    "cost.md": cost,
    "data-quality.md": data_quality,
}


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


def _setting(name: str, setting: SettingReference) -> str:
    names = ", ".join(f"`{variable}`" for variable in setting.variables)
    default = "" if setting.default is None else f"`{setting.default}`"
    return f"| {names} | `{name}` | {setting.description} | {default} |\n"


def _type(dtype: Any) -> str:
    return str(dtype).replace("time_unit='us', time_zone='UTC'", "us, UTC")


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")
        sys.stdout.write(f"written {FOLDER / name}\n")


if __name__ == "__main__":
    main()
