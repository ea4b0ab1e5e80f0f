"""How the splits and dividends after a day adjust its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from quantx.core.prices import CASH_KINDS, PRICES, adjust_bars
from quantx.reader.explain.facts import ActionEffect, Adjustment

_SHOWN = (*PRICES, "volume")


def adjustment_of(
    row: Mapping[str, Any], actions: pl.DataFrame, proofs: pl.DataFrame, verdicts: pl.DataFrame
) -> Adjustment:
    """Return the effects of actions (by requested symbol) on the values of a bar, in the order of their ex-dates.

    `proofs` are rows of adjustment_proofs, `verdicts` of action_verdicts.
    """
    later = actions.filter(pl.col("ex_date") > row["date"]).sort("ex_date", "kind")
    frame = pl.DataFrame([{c: row[c] for c in ("symbol", "date", *_SHOWN)}])
    split, total = (adjust_bars(frame, later, how).row(0, named=True) for how in ("split", "total"))
    effects = _effects(later, proofs, verdicts)
    only_splits = [e.factor for e in effects if e.kind == "split" and e.factor is not None]
    return Adjustment(
        actions=effects,
        split_factor=_product(only_splits),
        total_factor=_product(_once_a_day(effects)),
        split={c: split[c] for c in _SHOWN},
        total={c: total[c] for c in _SHOWN},
    )


def _effects(actions: pl.DataFrame, proofs: pl.DataFrame, verdicts: pl.DataFrame) -> list[ActionEffect]:
    shares: dict[date, float] = {}
    for action in actions.iter_rows(named=True):
        if _moves_price(action):
            shares[action["ex_date"]] = shares.get(action["ex_date"], 0.0) + action["value"] / action["reference_close"]
    proven = {(p["source"], p["ex_date"]): p["verdict"] for p in proofs.iter_rows(named=True)}
    doubted = {(v["source"], v["ex_date"], v["kind"]): v["verdict"] for v in verdicts.iter_rows(named=True)}
    columns = ("ex_date", "kind", "value", "reference_close", "currency", "source", "raw", "known_from")
    return [
        ActionEffect(
            **{c: action[c] for c in columns},
            factor=_factor(action, shares),
            proof=proven.get((action["source"], action["ex_date"])),
            verdict=doubted.get((action["source"], action["ex_date"], action["kind"])),
        )
        for action in actions.iter_rows(named=True)
    ]


def _moves_price(action: Mapping[str, Any]) -> bool:
    close = action["reference_close"]
    return action["kind"] in CASH_KINDS and close is not None and action["value"] < close


def _factor(action: Mapping[str, Any], shares: Mapping[date, float]) -> float | None:
    if action["kind"] == "split":
        return 1 / float(action["value"])
    share = shares.get(action["ex_date"], 1.0)
    return 1 - share if _moves_price(action) and share < 1 else None


def _once_a_day(effects: Sequence[ActionEffect]) -> list[float]:
    """Return the factors of all splits, and one of all payments of each ex-date."""
    paid = {e.ex_date: e.factor for e in effects if e.kind != "split" and e.factor is not None}
    return [*(e.factor for e in effects if e.kind == "split" and e.factor is not None), *paid.values()]


def _product(factors: Sequence[float]) -> float:
    product = 1.0
    for factor in factors:
        product *= factor
    return product
