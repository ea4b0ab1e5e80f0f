"""Writes docs/benchmarks.md: a section per benchmark, and above them the aims of all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.table import Outcome, counts_of

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

_INTRODUCTION = """<!-- written by `make bench`; do not edit -->

# Benchmarks

`make bench` runs them all and writes this page; `python -m benchmarks b1 b3` prints some (`--quick`: a tenth of the
size, a check that they run, not a measurement). Nothing here was copied by hand.

A single figure means little on a shared machine. So each benchmark measures, in the same run, a floor (the least work
of any program) or a peer (a common alternative), and the column *ratio* compares the times of the two: 2 means twice as
long. Missed aims stay on this page as missed.

## All aims
"""

ABOUT = {
    "b1": (
        "B1 · fetch within the quota",
        "A vendor's quota is the limit of a backfill: 500 symbols at 50 requests a second can't take less than ten"
        " seconds. 4.5 % of the quota keep it: a window of a second never has more than 50 requests although latencies"
        " differ. The wall covers planning, fetching and curating a year of each symbol in one process, after it has"
        " loaded and connected. Loading, a new PostgreSQL in an empty folder, the handshake with the vendor and the end"
        " of the process are its start. The peer is `yfinance.download` with its defaults, on a sandbox with the same"
        " quota.",
    ),
    "b2": (
        "B2 · curator",
        "Stored replies become rows of the tables: read, converted to as-traded prices, checked, compared, committed."
        " The floor reads the same rows from one Parquet file and writes them to another. The exponents compare CPU"
        " time at half the size with that of a quarter of the symbols, and of half the years: 1 is proportional.",
    ),
    "b3": (
        "B3 · daily upsert",
        "A day's bars of 5,000 symbols, each with the four sessions before it, some of them revised, are committed to a"
        " table of 15 years on a local disk. The floor reads and writes one Parquet file of as many rows.",
    ),
    "b3-azure": (
        "B3 · daily upsert on Azurite",
        "The same in a lake on Azurite, behind a proxy that delays each request by 15 ms, as a region's storage would,"
        " and records it; the counts below are of all upserts together. The floor reads one object of an upsert's size,"
        " decodes and encodes it, and puts it back: two requests.",
    ),
    "b5": (
        "B5 · queue throughput",
        "Ten thousand small tasks are planned, then four worker processes drain them and curate: queue and lake on"
        " Azurite, the state in PostgreSQL, the vendor in the worker's own process, without a quota; its replies were"
        " made before. Beside it the same client sends the same number of messages, receives them in pages of 32 and"
        " deletes them, with a blob for each page: Azurite's share. (Azurite, unlike Azure, reads all messages at each"
        " operation: with 10,000 of them a delete takes 35 ms. Both keep the queue at 1,000.) Then the same with the"
        " queue in PostgreSQL.",
    ),
    "daily": (
        "Daily run",
        "A new session of 5,000 symbols, each with the five before it, from the start of the process to the end of the"
        " inspection: one worker, queue and lake on Azurite, each behind a proxy that delays each request by 15 ms and"
        " records it. The lake has the sessions of a quarter. The seconds of a stage are the sum over its threads, so"
        " that they add up to more than the whole; its requests and statements are counted. Azure's queue takes two"
        " requests for each task (one sends, one deletes) and one for 32 (receive).",
    ),
    "memory": (
        "Memory of a worker",
        "One worker with the default settings and replies of three sizes, until all are curated; lake and queue on this"
        " machine. What bounds it: [how to bound the memory of a worker](how-to/bound-the-memory.md).",
    ),
    "b6-vendors": (
        "B6 · between vendors",
        "Two vendors' bars of 15 years, as traded: compared field by field within the tolerances, with causes, a third"
        " vendor's bars, months and verdicts. One close in 300 is off, one session in a thousand missing, a symbol in"
        " cents and one without its split. The floor only joins the two frames.",
    ),
    "b8": (
        "B8 · the faulty world",
        "The backfill of B1 by four workers on Azurite and PostgreSQL, first without faults, then with a vendor that"
        " answers 5 % of the requests with 429, 2 % with 500 and 1 % with garbage, while two workers are killed (and"
        " replaced) and PostgreSQL and Azurite are restarted. 8 % of faults alone make 8.7 % more requests; what a"
        " killed worker had fetched and not stored is fetched again, too. Both worlds are taken apart: the seconds"
        " without a request by what came before them, the slots of the quota that no request used (late, or in a"
        " back-off), and the requests that were made again by the answer before.",
    ),
    "m1": (
        "M1 · minute bars",
        "Sessions of 5,000 symbols are committed from the vendor's rows: window, hours, rules, one commit; one row in"
        " 9,999 breaks a rule. The floor writes the same rows to one Parquet file with Polars.",
    ),
    "m2": (
        "M2 · a session of minute bars",
        "A session of 5,000 symbols is committed to a table that has others, as by the curator: read existing rows,"
        " compare, commit. Then the same session is committed again, and no row changes. On this disk, and on Azurite"
        " behind a proxy that delays each request by 15 ms and records it.",
    ),
    "m3": (
        "M3 · compaction of a month",
        "The sessions of a closed month are sorted by symbol, part by part, so that the memory does not grow with the"
        " month. The floor reads the files one by one and writes their rows unchanged.",
    ),
    "app": (
        "Functions app",
        "The app of Azure, in Microsoft's execution engine, plans a universe of 5,000 symbols: by its daily timer, by a"
        " second firing, and by a request for a backfill. The first firing imports the libraries, too. Each sends the"
        " first 500 messages; workers send the rest. The instance has 512 MB (`instanceMemoryMB`), which the host"
        " shares with the app; the host itself can't be measured here.",
    ),
    "planning": (
        "Planning",
        "A daily update and a backfill of 50,000 symbols are planned, and those of half as many: which sessions are"
        " missing, the tasks, their first messages. The growth is an exponent: 1 means that twice the symbols cost"
        " twice as much, 0 that they cost the same.",
    ),
    "inspection": (
        "Inspection",
        "A session of each symbol is new; then all checks of an inspection run over all symbols, with PostgreSQL. The"
        " column beside has the first inspection of the same lake, which reads and judges everything. The growth is"
        " that of the daily inspection of a fifth of the symbols over seven years, with twice the symbols or years.",
    ),
    "coverage": (
        "Coverage page",
        "The completeness of 15 years of 5,000 symbols in ten universes: read from the lake, compared with the"
        " exchange's calendar, written as a page and as JSON, with 2,000 findings. One bar in 500 is missing. The floor"
        " only reads the columns source, symbol and date of all rows.",
    ),
    "alpaca": (
        "Alpaca's pages",
        "Full pages in the vendor's form, 10,000 rows of JSON in a megabyte, become frames: parsed, compared with the"
        " request, stamped with their sessions, all pages of a round at once. The floor only parses the JSON with"
        " pydantic.",
    ),
    "sandbox": (
        "Sandbox",
        "The rate of requests that the sandbox answers, which must not limit the other benchmarks. The floor is the"
        " same HTTP server with a constant reply.",
    ),
    "start": (
        "Start",
        "Whole processes, in seconds of CPU. pyarrow is refused in the reads, as it is absent in the install for"
        " reading; the last line has it, because Polars imports it where it is installed.",
    ),
    "recall": (
        "Recall of the rules",
        "Clean daily files (recorded ones, or the invented sample) are damaged at random places, in each kind that the"
        " rules are for. Damage is found if it becomes a rejected row or a finding at `warn` or worse that the clean"
        " file has not. With two vendors, the second one has the clean rows. `--seed` chooses other places and files.",
    ),
    "r1": (
        "R1 · reading",
        "Queries of `open_lake` on a local disk: with decoded copies of the files in this machine's cache, and without."
        " The first call of each is not counted. The peers read the same rows: Polars and DuckDB from the same files,"
        " whose list they are given, ArcticDB from its own storage.",
    ),
    "r2": (
        "R2 · reading from Azurite",
        "The same in a lake on Azurite, behind a proxy that delays each request by 15 ms and counts it: without copies,"
        " with copies, and with copies and pinned versions, which needs no request at all.",
    ),
    "r3": (
        "R3 · SQL",
        "`lake.sql` finds the newest versions, checks the statement, and runs it in a locked connection. The peer is"
        " DuckDB on the same files, without any of that; both return a Polars frame. The aim of all rows is 1.5 times"
        " the peer's.",
    ),
    "option-chains": (
        "Chains of options",
        "`lake.chain` over one session of minute quotes, in a process that holds the session, and its first call. The"
        " peer is Polars over the Parquet file: the last row of each contract until the minute. Volatilities of prices"
        " up to three deviations out of the money; the peer is one evaluation of the prices themselves.",
    ),
    "fundamentals-read": (
        "Fundamentals · reading",
        "Values of 500 symbols × 15 years as they were public on one date: of each period the last version. Each period"
        " is filed, and filed again with another value a year later. The join shows the newest public value of one"
        " concept at 5,000 closes of each symbol, 2.5 million in all; its peer is Polars' `join_asof`. The first call"
        " of each query is not counted.",
    ),
    "dashboard": (
        "Dashboard · pages",
        "Each page of `quantx dashboard`, a process of its own, from the request to the end of its HTML, without a"
        " browser; the first load of each is not counted. Beside it the same page where no database answers: it reads"
        " the lake, or says what is missing. The overview is loaded first, and its time begins with the process.",
    ),
    "facts": (
        "Facts and concepts",
        "Replies of companyfacts of large filers (the recorded ones under other CIKs, else an invented one) become rows"
        " of `fundamentals_facts` and `fundamentals` in an empty lake: parsed, classed, derived and committed in rounds"
        " of 16 filers, which bound the memory whatever the number of filers. The floor parses the JSON alone. The rate"
        " of the nightly archive is extrapolated as if all 8,000 filers were as large; most are far smaller.",
    ),
    "features": (
        "Features",
        "Indicators over the bars of 500 symbols, from a frame to a frame. Beside them the same indicators by TA-Lib,"
        " called in a plain loop over arrays of each symbol: a loop that neither adjusts prices, nor keeps nulls, nor"
        " checks its input. A daily run computes the last row only. The peer of alpha158 computes each feature for"
        " itself, as its definition is written, in Polars.",
    ),
    "daily-features": (
        "Features after a daily run",
        "One new session of bars in a lake with three years of each symbol, until the new rows of the technical set are"
        " committed. The floor reads the same rows, computes them and writes them to one Parquet file. The join shows"
        " the values that were public at each close; its peer is Polars' `join_asof`.",
    ),
    "option-quotes": (
        "Option quotes",
        "A session of minute quotes, from the vendor's compressed file to one sorted data file in the lake: size and"
        " hash checked, decoded, each record mapped to its contract, judged by the rules, sorted by contract and time."
        " The first line stops at the mapped rows. The peer is the vendor's own conversion of the same file to Parquet"
        " (`DBNStore.to_parquet`), which maps the symbols, and neither checks nor sorts.",
    ),
    "spark-features": (
        "Features on Spark",
        "Features of minute bars of one month, by the number of symbols: in one process, and on two workers of Sail on"
        " the same machine through Spark Connect.",
    ),
    "real": (
        "Recorded files",
        "171,000 rows of 39 recorded files through the real command, with its start: HTTP, queue, worker, raw zone,"
        " curator. The floor makes the same requests over one connection and writes the same rows with Polars.",
    ),
}


def write(name: str, outcome: Outcome, where: str, command: str, page: Path = PAGE) -> None:
    """Write an outcome (`where`: machine and load before it) to the page; other sections stay unchanged."""
    if outcome.skipped:
        return
    if name not in ABOUT:
        raise ValueError(f"the benchmark {name} has no entry in ABOUT of benchmarks/page.py; add one")
    sections = _sections(page.read_text("utf-8")) if page.exists() else {}
    sections[name] = _section(outcome, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC with `{command}` on {where}")
    parts = [_INTRODUCTION, _aims(sections)]
    for measured, (heading, text) in ABOUT.items():
        if measured in sections:
            parts.append(f"\n## {heading}\n\n{text}\n\n{_begin(measured)}\n{sections[measured]}\n{_END}\n")
    page.write_text("".join(parts), "utf-8")


_END = "<!-- end -->"


def _begin(name: str) -> str:
    return f"<!-- measured: {name} -->"


def _sections(text: str) -> dict[str, str]:
    pairs = re.findall(rf"<!-- measured: ([\w-]+) -->\n(.*?)\n{_END}", text, re.DOTALL)
    return dict(pairs)


def _section(outcome: Outcome, facts: str) -> str:
    head = f"{outcome.title}.\n\n{_row(outcome.headings)}\n|---|---:|---:|---:|---:|---|\n"
    rows = "\n".join(_row(line.cells()) for line in outcome.lines)
    return f"{head}{rows}\n\nCounts: {counts_of(outcome)}.\n\nMeasured {facts}."


def _aims(sections: Mapping[str, str]) -> str:
    """Return the table of the lines that have an aim."""
    lines = ["\n| benchmark | what | measured | aim | |\n|---|---|---:|---:|---|\n"]
    for name, (heading, _) in ABOUT.items():
        for row in sections.get(name, "").splitlines():
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            if row.startswith("|") and cells[-1] in ("met", "missed"):
                what, measured, _, _, aim, met = cells
                lines.append(_row((heading, what, measured, aim, f"**{met}**" if met == "missed" else met)))
                lines.append("\n")
    return "".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
