#!/bin/sh
# Put ArcticDB, a peer of the reader's benchmark, into .venv/arctic, from exact versions with hashes.
# Where it can't be had, the benchmark runs without it.
set -eu
cd "$(dirname "$0")/.."
py="$PWD/.venv/bin/python"

without() {
    echo "setup: no ArcticDB, so that the reader is measured without this peer: $1" >&2
    rm -rf .venv/arctic
    exit 0
}

echo "setup: ArcticDB for the benchmark"
rm -rf .venv/arctic
"$py" -m venv --without-pip .venv/arctic || without "no environment could be made"
PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip --python .venv/arctic/bin/python install -qq \
    --require-hashes --no-deps --only-binary :all: -r requirements/arctic.txt || without "pip could not install it"
touch .venv/.arctic
