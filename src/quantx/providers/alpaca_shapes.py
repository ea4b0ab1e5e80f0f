"""The declared shapes of Alpaca's pages: the fields of the recordings from 2021 to 2024 and of its API reference."""

from __future__ import annotations

from typing import Any

from quantx.providers.drift import Shape

_BAR = {
    "t": "text",
    **dict.fromkeys(("o", "h", "l", "c", "v"), "number"),
    "n?": "number",  # trades
    "vw?": "number",
}
_SPLIT = {
    "id?": "text",  # not before 2024
    "symbol": "text",
    "new_rate": "number",
    "old_rate": "number",
    "ex_date": "text",
    "process_date": "text",
    "record_date?": "text",
    "payable_date?": "text",
    "due_bill_redemption_date?": "text",
    "cusip?": "text",
    "old_cusip?": "text",
    "new_cusip?": "text",
}
_DIVIDEND = {
    "id?": "text",
    "symbol": "text",
    "rate": "number",
    "special": "flag",
    "foreign": "flag",
    "ex_date": "text",
    "process_date": "text",
    "record_date?": "text",
    "payable_date?": "text",
    "due_bill_on_date?": "text",
    "due_bill_off_date?": "text",
    "cusip?": "text",
}
# Kinds that are reported and not applied: their rows are not compared.
_UNREAD = (
    "unit_splits",
    "stock_dividends",
    "spin_offs",
    "cash_mergers",
    "stock_mergers",
    "stock_and_cash_mergers",
    "redemptions",
    "name_changes",
    "worthless_removals",
    "rights_distributions",
)
_TOKEN = {"next_page_token": "text|null"}

BARS = Shape("bars", {"bars": ("null", {"*": [_BAR]}), "currency?": "text", **_TOKEN})
ACTIONS = Shape(
    "corporate_actions",
    {
        "corporate_actions": {
            "forward_splits?": [_SPLIT],
            "reverse_splits?": [_SPLIT],
            "cash_dividends?": [_DIVIDEND],
            **{f"{kind}?": "any" for kind in _UNREAD},
        },
        **_TOKEN,
    },
)


def shape_of(document: Any) -> Shape:
    """Return the shape of a page: of bars, or of corporate actions."""
    return ACTIONS if isinstance(document, dict) and "corporate_actions" in document else BARS
