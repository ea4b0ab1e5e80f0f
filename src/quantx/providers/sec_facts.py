"""The facts in a reply of `companyfacts`: every number that a filer has tagged, in each filing that reports it.

The columns are collected tag by tag and converted at once: 25,000 facts take 0.1 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from quantx.providers.protocol import VENDOR_FACTS
from quantx.providers.reply_values import WrongForm
from quantx.providers.sec_values import (
    accession_column,
    cik_of,
    day_column,
    number_column,
    text_column,
    whole_column,
)

# The columns of a row that are always sent, and the names of ours.
_SENT = {"end": "end", "val": "value", "accn": "accession", "form": "form", "fy": "fy", "fp": "fp", "filed": "filed"}


def read_facts(document: Mapping[str, Any]) -> pl.DataFrame:
    """Return VENDOR_FACTS; any of FORM_ERRORS where a value has another form.

    `start` is null for a balance, `fy` and `fp` are null for some forms. Rows without a value are left out: they are
    none. A row that is sent twice is one.
    """
    rows: list[Mapping[str, Any]] = []
    sizes, names = list[int](), list[tuple[str, str, str]]()
    for name, group in _units(document["facts"]):
        rows += group
        sizes.append(len(group))
        names.append(name)
    if not set(map(type, rows)) <= {dict}:
        raise WrongForm("a fact is no object")
    sent = {ours: list(map(itemgetter(name), rows)) for name, ours in _SENT.items()}
    tags = pl.DataFrame(names, schema={"taxonomy": pl.String, "tag": pl.String, "unit": pl.String}, orient="row")
    columns = [
        day_column("start", [row.get("start") for row in rows], null=True, any_year=True),
        day_column("end", sent["end"], any_year=True),
        number_column("value", sent["value"]),
        text_column("form", sent["form"]),
        accession_column(sent["accession"]),
        whole_column("fy", sent["fy"]),
        text_column("fp", sent["fp"], null=True),
        day_column("filed", sent["filed"]),
    ]
    of = np.repeat(np.arange(len(names)), sizes)
    facts = pl.concat([tags[of], pl.DataFrame(columns)], how="horizontal").with_columns(
        pl.lit(cik_of(document["cik"]), pl.Int64).alias("cik")
    )
    facts = facts.filter(pl.col("value").is_not_null()).select(list(VENDOR_FACTS))
    return facts.unique(maintain_order=True)


def _units(facts: Any) -> Iterator[tuple[tuple[str, str, str], list[Mapping[str, Any]]]]:
    """Yield taxonomy, tag and unit with their rows."""
    for taxonomy, tags in _objects(facts):
        for tag, about in _objects(tags):
            for unit, rows in _objects(about["units"]):
                if type(rows) is not list:
                    raise WrongForm("the facts of a unit are no list")
                yield (taxonomy, tag, unit), rows


def _objects(value: Any) -> Iterator[tuple[str, Any]]:
    if type(value) is not dict:
        raise WrongForm("a level of its facts is no object")
    yield from value.items()
