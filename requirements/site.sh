#!/bin/sh
# Put the generator of the documentation's site (MkDocs with Material) into .venv/site, from exact versions with hashes.
# Where it can't be had, the test of the site is skipped.
set -eu
cd "$(dirname "$0")/.."
py="$PWD/.venv/bin/python"

without() {
    echo "setup: no MkDocs, so that the site is not built: $1" >&2
    rm -rf .venv/site
    exit 0
}

echo "setup: MkDocs for the site of the documentation"
rm -rf .venv/site
"$py" -m venv --without-pip .venv/site || without "no environment could be made"
PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip --python .venv/site/bin/python install -qq \
    --require-hashes --no-deps --only-binary :all: -r requirements/site.txt || without "pip could not install it"
touch .venv/.site
