#!/bin/sh
# Put axe-core, which checks pages for accessibility, into .venv/axe, from an exact version with its hash.
# Where it can't be had, the tests of the dashboard in a browser run without these checks.
set -eu
cd "$(dirname "$0")/.."
. requirements/npm.sh
echo "setup: axe for the tests"
if npm_ci axe "no axe, so that pages are not checked for accessibility"; then touch .venv/.axe; fi
