"""Facts and concepts of 100 large filers: replies of companyfacts become rows of both tables, round by round."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.measure import apart, stretch
from benchmarks.table import Line, Outcome
from quantx.core.fact_tables import FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.fundamentals.revisions import GENUINE
from quantx.core.symbols import filer_symbol
from quantx.core.table import INSTANT
from quantx.core.tables import TABLES
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.pipeline.curating.concept_rows import classed_facts, concept_rows
from quantx.pipeline.curating.known_rows import NothingKnown
from quantx.settings.concepts import shipped_concepts

_ROUND = 16  # filers; the curator's rounds have 64 MB of replies
_ALL = 8_000  # filers in the nightly archive, of which most are small
_RECORDED = ("wire_sec_edgar/companyfacts", "known_answers/sec_fundamentals/companyfacts")
_LARGE = 1_000_000  # bytes


def run(folder: Path, *, quick: bool) -> Outcome:
    """Curate the replies of some filers into an empty lake; the floor parses their JSON."""
    filers = 8 if quick else 100
    made = apart("benchmarks.facts:curated", filers=filers, lake=f"{folder}/lake")
    floor = apart("benchmarks.facts:parsed", filers=filers)
    names = ("parsing", "classes", "concepts", "commits")
    parts = ", ".join(f"{name} {made[name]:.1f}" for name in names)
    per_filer = made["seconds"] / filers
    return Outcome(
        f"Facts and concepts of {filers} large filers: {made['facts']:,} facts",
        (
            Line(f"both tables, s ({parts})", made["seconds"], floor["seconds"], "≤ 12" if not quick else ""),
            Line("the same, CPU of all threads, s", made["cpu"], floor["cpu"]),
            Line("peak memory, MB", made["peak_mb"], floor["peak_mb"], "< 700", digits=0),
            Line(f"{_ALL:,} filers as large as these, minutes (extrapolated)", per_filer * _ALL / 60, digits=1),
            Line(
                "facts a second",
                made["facts"] / made["seconds"],
                floor["facts"] / floor["seconds"],
                digits=0,
                rate=True,
            ),
        ),
        {name: made[name] for name in ("facts", "values", "nulls", "changed")},
    )


def documents(filers: int) -> Iterator[tuple[int, bytes]]:
    """Yield CIKs and documents: recorded ones of large filers under other CIKs, else an invented one."""
    data = Path(os.environ.get("QUANTX_MARKET_DATA") or Path(__file__).parents[2] / "shared" / "market-data")
    paths = sorted(path for folder in _RECORDED for path in (data / folder).glob("*.json.gz"))
    recorded = [body for body in map(_body, paths) if len(body) > _LARGE] or [invented()]
    for cik, body in enumerate(islice(cycle(recorded), filers), start=1):
        yield cik, re.sub(rb'"cik":\s*"?\d+"?', b'"cik":%d' % cik, body, count=1)


def _body(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def invented() -> bytes:
    """Return a document with 60 tags over 15 years, of which 20 belong to concepts; each period is filed twice."""
    adding = [concept for concept in shipped_concepts().concepts.values() if concept.adds_up]
    tags = [tag for concept in adding for tag in concept.tags.get("us-gaap", ())[:1]][:20]
    tags += [f"Other{n}" for n in range(40)]
    facts = {tag: {"label": tag, "units": {"USD": _rows(n)}} for n, tag in enumerate(tags)}
    return json.dumps({"cik": 1, "entityName": "Invented", "facts": {"us-gaap": facts}}).encode()


def _rows(seed: int) -> list[dict[str, Any]]:
    rows = []
    for year, (n, end) in product(range(2010, 2025), enumerate(((3, 31), (6, 30), (9, 30), (12, 31)))):
        last = date(year, *end)
        for filed in (last + timedelta(days=40), last + timedelta(days=405)):
            row = {"start": f"{year}-01-01", "end": str(last), "val": (seed + 1) * (n + 1) * 1_000_000 + year}
            row |= {"accn": f"{1:010}-{filed.year % 100:02}-{n:06}", "form": "10-K" if n == 3 else "10-Q"}
            rows.append({**row, "fy": year, "fp": "Q1", "filed": str(filed)})
    return rows


def curated(filers: int, lake: str) -> dict[str, Any]:
    """Parse, class and derive the facts in rounds, and commit both tables of each."""
    from quantx.providers.sec_facts import read_facts

    concepts, tables = shipped_concepts(), open_tables(open_location(lake), TABLES)
    spent = dict.fromkeys(("parsing", "classes", "concepts", "commits"), 0.0)
    counts = dict.fromkeys(("facts", "values", "nulls", "changed"), 0)
    sent = documents(filers)
    number, cpu = 0, 0.0
    while some := list(islice(sent, _ROUND)):
        number += 1
        with stretch() as parsing:
            facts = pl.concat([_of_table(read_facts(json.loads(body)), cik) for cik, body in some])
        del some
        with stretch() as classes:
            facts, beside = classed_facts("sec", facts, NothingKnown())
        with stretch() as deriving:
            values = concept_rows("sec", facts, beside, concepts, NothingKnown())
        with stretch() as commits:
            for table, rows in ((FUNDAMENTALS_FACTS, facts), (FUNDAMENTALS, values)):
                tables[table.name].commit(CommitContext(number), rows)
        for name, each in zip(spent, (parsing, classes, deriving, commits), strict=True):
            spent[name] += each.seconds
            cpu += each.cpu
        counts["facts"] += facts.height
        counts["values"] += values.height
        counts["nulls"] += values["value"].null_count()
        counts["changed"] += facts.filter(pl.col("revision") == GENUINE).height
    return {**spent, **counts, "seconds": sum(spent.values()), "cpu": cpu}


def _of_table(facts: pl.DataFrame, cik: int) -> pl.DataFrame:
    """Return a filer's facts as rows of the table, each public at the end of its day."""
    own: Mapping[str, pl.Expr] = {
        "source": pl.lit("sec"),
        "year": pl.col("filed").dt.year(),
        "symbol": pl.lit(filer_symbol(cik)),
        "public_at": pl.col("filed").cast(INSTANT).dt.offset_by("22h"),
        "public_how": pl.lit("filed_day"),
        "revision": pl.lit(None, pl.String),
        "raw": pl.lit("a reply"),
        "known_from": pl.lit(datetime(2026, 11, 30, tzinfo=UTC), INSTANT),
    }
    return facts.with_columns(**own).select(list(FUNDAMENTALS_FACTS.schema))


def parsed(filers: int) -> dict[str, Any]:
    """Parse the JSON of the documents."""
    seconds, cpu, facts = 0.0, 0.0, 0
    for _, body in documents(filers):
        with stretch() as parsing:
            document = json.loads(body)
        seconds += parsing.seconds
        cpu += parsing.cpu
        tags = (tag for taxonomy in document["facts"].values() for tag in taxonomy.values())
        facts += sum(len(rows) for tag in tags for rows in tag["units"].values())
    return {"seconds": seconds, "cpu": cpu, "facts": facts}
