"""Replay seeds: `python -m tests.simulation --seed 42 --trace`, `--seeds 0-999`, `--seeds 0-99 --mutant unfenced`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter

# Before anything loads: small frames gain nothing from threads, and a set of texts has another order in each process.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
if os.environ.get("PYTHONHASHSEED") != "0":
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(  # noqa: S606
        sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", help="a range, as in 0-999")
    parser.add_argument("--trace", action="store_true", help="show every step")
    parser.add_argument("--mutant", help="put a broken part in: see mutants.py")
    parser.add_argument("--first", action="store_true", help="end with the first seed that fails")
    given = parser.parse_args()

    from tests.simulation.mutants import MUTANTS
    from tests.simulation.seeds import run_seed, silence

    silence()
    parts = MUTANTS[given.mutant][0] if given.mutant else None
    first, _, last = (given.seeds or str(given.seed)).partition("-")
    begun, failed, steps, happened = time.perf_counter(), 0, 0, Counter[str]()
    for seed in range(int(first), int(last or first) + 1):
        outcome = run_seed(seed, parts, print if given.trace else None)
        steps += outcome.steps
        happened += outcome.happened
        for text in outcome.broken:
            print(f"seed {seed}: {text}", flush=True)
        failed += bool(outcome.broken)
        if failed and given.first:
            break
    seconds = time.perf_counter() - begun
    print(f"{failed} failed, {steps} steps, {seconds:.1f} s", flush=True)
    print(json.dumps(happened), flush=True)
    return 1 if failed else 0


code = main()
sys.stdout.flush()
os._exit(code)  # a library's threads may abort the process at its usual end, after all output
