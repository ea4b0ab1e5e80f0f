#!/bin/sh
# Put this package beside the libraries of docs/how-to/use-with-*.md and what runs notebooks into .venv/libraries, from
# exact versions with hashes. Where they can't be had, the proofs that need them are skipped.
set -eu
cd "$(dirname "$0")/.."
py="$PWD/.venv/bin/python"
home=.venv/libraries

without() {
    echo "prove: no libraries beside this package, so that their pages and the notebooks are not run: $1" >&2
    rm -rf "$home"
    exit 0
}

pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip --python "$home/bin/python" install -qq --no-deps "$@"; }

if [ "$home/.done" -nt requirements/libraries.txt ] && [ "$home/.done" -nt requirements/spark.txt ]; then exit 0; fi
rm -rf "$home"
echo "prove: installing libraries beside this package (the first time takes minutes)"
"$py" -m venv --without-pip "$home" || without "no environment could be made"
pip --require-hashes --only-binary :all: -r requirements/libraries.txt || without "pip could not install them"
pip --require-hashes --no-build-isolation -r requirements/spark.txt || without "pip could not build pyspark-client"
pip --no-build-isolation --editable . || without "pip could not install this package"
touch "$home/.done"
