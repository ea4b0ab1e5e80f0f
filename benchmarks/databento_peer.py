"""The vendor's own conversion of a DBN file to Parquet: a script for an environment of its own, without this project.

`python databento_peer.py FILE FOLDER TRIES` prints the CPU seconds and the peak memory as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import databento


def main(file: str, folder: str, tries: int) -> None:
    """Convert the file, as its documentation does."""
    warnings.simplefilter("ignore")
    measured: dict[str, list[float]] = {"cpu": [], "seconds": []}
    for number in range(tries):
        cpu, start = time.process_time(), time.perf_counter()
        databento.DBNStore.from_file(file).to_parquet(Path(folder, f"{number}.parquet"))
        measured["seconds"].append(time.perf_counter() - start)
        measured["cpu"].append(time.process_time() - cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**measured, "peak_mb": peak}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
