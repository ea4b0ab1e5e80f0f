#!/bin/sh
# Put Azurite, the emulator of Azure Storage, into .venv/azurite, from exact versions with hashes.
# Without Node.js 20 on this machine it comes as a wheel. Where that can't be had, the tests that need Azurite are skipped.
set -eu
cd "$(dirname "$0")/.."
. requirements/npm.sh
echo "setup: Azurite for the tests"
if npm_ci azurite "no Azurite, so that tests against Azure Storage are skipped"; then touch .venv/.azurite; fi
