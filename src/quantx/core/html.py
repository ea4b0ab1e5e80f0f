"""Pages as text: tables and month grids for people, each whole in one file, without a script or a request.

All that is shown is escaped here: names, messages and rows come from vendors, and may hold markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

# Nothing is loaded from anywhere, whatever slips in.
POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"

# What our pages share: colours by day and by night, type, tables that scroll by themselves, print.
STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5a6272; --line: #d9dde5; --back: #fff; --card: #f6f7fa;
  --blue: #2563eb; --orange: #d97706; --green: #16a34a; --red: #dc2626; --violet: #7c3aed; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa3b2; --line: #333a47; --back: #14181f;
  --card: #1c222c; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 0 auto;
  max-width: 980px; padding: 24px 16px 64px; }
h1 { font-size: 1.6rem; margin: 0 0 4px; } h2 { font-size: 1.15rem; margin: 40px 0 8px; }
h3 { font-size: 1rem; margin: 20px 0 8px; } p { margin: 6px 0 12px; }
small, .soft { color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; width: 100%; }
caption { text-align: left; font-weight: 600; padding: 10px 0 4px; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
td:last-child { white-space: normal; overflow-wrap: anywhere; min-width: 8em; }
.number { text-align: right; padding-right: 18px; font-variant-numeric: tabular-nums; } td.number:last-child {
min-width: 0; } @media print { :root { --ink: #000; --soft: #444; --line: #bbb; --back: #fff; --card: #fff;
color-scheme: light; }
  body { max-width: none; padding: 0; } h2, h3, caption { break-after: avoid; } tr, li { break-inside: avoid; }
  .scroll { overflow: visible; } thead { display: table-header-group; } }
"""

# Per cent, and the class of the months that have so much; what has less is `poor`.
SHARE_LEVELS = ((100, "full"), (99, "high"), (95, "part"), (50, "low"))

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Cell:
    """One month of a grid."""

    text: str
    level: str  # CSS class
    title: str  # the figures behind it


def text_of(value: Any) -> str:
    """Return a value as a person reads it, not escaped."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(rows: Iterable[Mapping[str, Any]], caption: str = "", heads: Mapping[str, str] | None = None) -> str:
    """Return rows as a table; `heads` names its columns and their headings, all columns by default."""
    rows = list(rows)
    if not rows:
        return f"<p>{escape(caption) + ': ' if caption else ''}none</p>"
    heads = heads or {name: name.replace("_", " ") for name in rows[0]}
    numeric = {n for n in heads if any(isinstance(r[n], (int, float)) and not isinstance(r[n], bool) for r in rows)}
    css = {name: ' class="number"' if name in numeric else "" for name in heads}
    head = "".join(f'<th scope="col"{css[name]}>{escape(label)}</th>' for name, label in heads.items())
    body = "".join(
        "<tr>" + "".join(f"<td{css[name]}>{escape(text_of(row[name]))}</td>" for name in heads) + "</tr>"
        for row in rows
    )
    return _scrolling(f"<table>{_caption(caption)}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", caption)


def month_grid(caption: str, cells: Mapping[int, Cell]) -> str:
    """Return a table of years and months; `cells` by month as in 202410."""
    if not cells:
        return f"<p>{escape(caption)}: none</p>"
    head = "".join(f'<th scope="col" aria-label="{name}">{name[0]}</th>' for name in _MONTHS)
    years = range(min(cells) // 100, max(cells) // 100 + 1)
    body = "".join(
        f'<tr><th scope="row">{year}</th>{"".join(_month(cells.get(year * 100 + m)) for m in range(1, 13))}</tr>'
        for year in years
    )
    inner = f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody>"
    return _scrolling(f'<table class="months">{_caption(caption)}{inner}</table>', caption)


def per_cent(part: int, whole: int) -> float:
    """Return a share in per cent, cut to a tenth and not rounded: only what is whole says 100.

    >>> per_cent(99_999, 100_000), per_cent(5, 5)
    (99.9, 100.0)
    """
    return part * 1000 // whole / 10


def share_cell(part: int, whole: int, what: str) -> Cell:
    """Return a share in per cent for a month of a grid; tenths matter near the whole only.

    >>> (
    ...     share_cell(999, 1000, "sessions").text,
    ...     share_cell(873, 1000, "sessions").text,
    ...     share_cell(1, 900, "sessions").text,
    ... )
    ('99.9', '87', '<1')
    """
    share = per_cent(part, whole)
    text = text_of(share) if share >= 99 else "<1" if part and share < 1 else str(int(share))
    level = next((css for least, css in SHARE_LEVELS if share >= least), "poor")
    return Cell(text, level, f"{part:,} of {whole:,} {what}")


def month_text(number: int | None) -> str:
    """Return a month such as 202410 as 2024-10."""
    return "–" if number is None else f"{number // 100}-{number % 100:02}"


def first_of(title: str, shown: int, there: int) -> str:
    """Return the title of a list, which says so where it is cut."""
    return title if shown == there else f"{title}: the first {shown:,} of {there:,}"


def bullets(items: Sequence[str]) -> str:
    """Return texts as a list."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _month(cell: Cell | None) -> str:
    if cell is None:
        return "<td></td>"
    return f'<td class="{cell.level}" title="{escape(cell.title)}">{escape(cell.text)}</td>'


def _caption(caption: str) -> str:
    return f"<caption>{escape(caption)}</caption>" if caption else ""


def _scrolling(inner: str, caption: str) -> str:
    """Let a wide table scroll within the page, also by keyboard."""
    label = f' role="region" tabindex="0" aria-label="{escape(caption)}"' if caption else ""
    return f'<div class="scroll"{label}>{inner}</div>'
