"""Install Microsoft's execution engine of Functions for Python, as requirements/functions_runtime.txt pins it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).parents[2] / "requirements/functions_runtime.txt"


def install(folder: Path) -> str | None:
    """Install the engine into a folder; return why it can't be had, None where it is installed."""
    wanted = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python"]
    wanted += ["--target", str(folder), "-r", str(PINS)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"azure-functions-runtime can't be had here: {done.stderr.strip().splitlines()[-1][:200]}"
    return None
