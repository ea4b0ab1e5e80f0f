#!/bin/sh
# Put this package with Sail, which speaks Spark's protocol, and the client of Spark Connect into .venv/spark, from exact
# versions with hashes. The client is published as a source package only: its wheel is built here.
# Where they can't be had, the tests of the engine `spark` are skipped.
set -eu
cd "$(dirname "$0")/.."
py="$PWD/.venv/bin/python"
home=.venv/spark

without() {
    echo "setup: no Spark, so that the tests of the engine spark are skipped: $1" >&2
    rm -rf "$home"
    exit 0
}

pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip --python "$home/bin/python" install -qq --no-deps "$@"; }

echo "setup: Sail and the client of Spark Connect for the tests (the first time takes a minute)"
rm -rf "$home"
"$py" -m venv --without-pip "$home" || without "no environment could be made"
pip --require-hashes --only-binary :all: -r requirements/sail.txt || without "pip could not install Sail"
pip --require-hashes --no-build-isolation -r requirements/spark.txt || without "pip could not build pyspark-client"
pip --no-build-isolation --editable . || without "pip could not install this package"
touch .venv/.spark
