"""Members of options that are opened from bytes, as an import opens them."""

from __future__ import annotations

import io

import polars as pl

from quantx.errors import MalformedPayload
from quantx.providers.options.forms import form_of
from quantx.providers.options.protocol import OptionMember


def opened(content: bytes, name: str = "a.dbn", symbology: bytes | None = None) -> OptionMember:
    """Open a member of these bytes."""
    form = form_of(name, content[:1024], "mine")
    if form is None:
        raise MalformedPayload("no form")
    return form.open(name, io.BytesIO(content), len(content), lambda: symbology)


def all_rows(member: OptionMember) -> pl.DataFrame:
    """Return the rows of all batches with their dates and the ids of their contracts."""
    parts = [
        each.rows.select(
            pl.lit(each.date).alias("date"),
            member.contracts["contract"].gather(each.rows["contract_index"]).alias("contract"),
            pl.exclude("contract_index"),
        )
        for each in member.batches()
    ]
    return pl.concat([each for each in parts if not each.is_empty()] or parts[:1])


def rejections(member: OptionMember) -> list[str]:
    """Return the reasons of all rejected rows."""
    return [
        reason for each in member.batches() if each.rejected is not None for reason in each.rejected["reason"].to_list()
    ]
