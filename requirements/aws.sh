#!/bin/sh
# Put a mock of Amazon S3 (moto's server) and cfn-lint into .venv/aws, from exact versions with hashes.
# Where they can't be had, the tests that need them are skipped.
set -eu
cd "$(dirname "$0")/.."
py="$PWD/.venv/bin/python"

without() {
    echo "setup: no mock of Amazon S3, so that tests against S3 are skipped: $1" >&2
    rm -rf .venv/aws
    exit 0
}

echo "setup: a mock of Amazon S3 for the tests"
rm -rf .venv/aws
"$py" -m venv --without-pip .venv/aws || without "no environment could be made"
PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip --python .venv/aws/bin/python install -qq \
    --require-hashes --no-deps --only-binary :all: -r requirements/aws.txt || without "pip could not install it"
touch .venv/.aws
