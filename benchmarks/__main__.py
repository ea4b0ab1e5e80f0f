"""`python -m benchmarks [name …]`: run the measurements (all by default) and print one table each."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import (
    alpaca_pages,
    app,
    backfill,
    coverage,
    daily,
    daily_features,
    dashboard,
    facts,
    faulty,
    features,
    fundamentals,
    inspection,
    measure,
    memory,
    minutes,
    options,
    page,
    planning,
    queued,
    quota,
    reader,
    real_files,
    recall,
    rules,
    sandbox,
    spark_features,
    sql,
    start,
    upsert,
    upsert_azure,
    vendors,
)
from benchmarks.table import Outcome, machine, print_outcome

BENCHMARKS = {
    "b1": quota.run,
    "b2": backfill.run,
    "b3": upsert.run,
    "b3-azure": upsert_azure.run,
    "b5": queued.run,
    "b6": rules.run,
    "b6-vendors": vendors.run,
    "b8": faulty.run,
    "daily": daily.run,
    "daily-features": daily_features.run,
    "memory": memory.run,
    "m1": minutes.throughput,
    "m2": minutes.session,
    "m3": minutes.month,
    "app": app.run,
    "planning": planning.run,
    "inspection": inspection.run,
    "coverage": coverage.run,
    "alpaca": alpaca_pages.run,
    "sandbox": sandbox.run,
    "recall": recall.run,
    "real": real_files.run,
    "facts": facts.run,
    "features": features.run,
    "spark-features": spark_features.run,
    "start": start.run,
    "r1": reader.run,
    "r2": reader.run_azure,
    "r3": sql.run,
    "fundamentals-read": fundamentals.run,
    "option-quotes": options.run,
    "dashboard": dashboard.run,
}


def main(argv: Sequence[str] | None = None) -> list[Outcome]:
    """Run the benchmarks that `argv` names and return their outcomes."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the size: a check that they run, not a measurement"
    )
    parser.add_argument(
        "--folder", type=Path, help="the folder of the temporary lake and state (default: the system's)"
    )
    parser.add_argument("--write", action="store_true", help="put the results into docs/benchmarks.md")
    parser.add_argument("--seed", type=int, default=1, help="the chance of `recall`: its files and places (default: 1)")
    given = parser.parse_args(argv)
    if given.write and given.quick:
        parser.error("results of --quick are not written")
    unknown = sorted(set(given.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there is {', '.join(BENCHMARKS)}")
    measure.inside = given.quick
    runs = {**BENCHMARKS, "recall": partial(recall.run, seed=given.seed)}
    outcomes = {}
    for name in given.names or BENCHMARKS:
        where = machine()
        print(where)
        with tempfile.TemporaryDirectory(prefix=f"quantx-{name}-", dir=given.folder) as folder:
            outcome = runs[name](Path(folder).resolve(), quick=given.quick)
        print_outcome(outcome)
        outcomes[name] = outcome
        if given.write:
            page.write(name, outcome, where, " ".join(["python -m benchmarks", *given.names, "--write"]))
    return list(outcomes.values())


if __name__ == "__main__":
    main()
    sys.exit(0)
