#!/bin/sh
# Put the client of Databento, a peer of the benchmark of options, into .venv/databento, from exact versions with hashes.
# Where it can't be had, the benchmark runs without it.
set -eu
cd "$(dirname "$0")/.."
py="$PWD/.venv/bin/python"

without() {
    echo "setup: no client of Databento, so that options are measured and tested without it: $1" >&2
    rm -rf .venv/databento
    exit 0
}

echo "setup: the client of Databento for the benchmark"
rm -rf .venv/databento
"$py" -m venv --without-pip .venv/databento || without "no environment could be made"
PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip --python .venv/databento/bin/python install -qq \
    --require-hashes --no-deps --only-binary :all: -r requirements/databento.txt || without "pip could not install it"
touch .venv/.databento
