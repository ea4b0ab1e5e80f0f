#!/bin/sh
# Put the SDK of Azure Machine Learning into .venv/azureml, from exact versions with hashes.
# Where it can't be had, the test that validates infra/ml with it is skipped.
set -eu
cd "$(dirname "$0")/.."
py="$PWD/.venv/bin/python"
home=.venv/azureml

without() {
    echo "setup: no SDK of Azure Machine Learning, so that its jobs are not validated with it: $1" >&2
    rm -rf "$home"
    exit 0
}

echo "setup: the SDK of Azure Machine Learning for the tests"
rm -rf "$home"
"$py" -m venv --without-pip "$home" || without "no environment could be made"
PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip --python "$home/bin/python" install -qq \
    --require-hashes --no-deps --only-binary :all: -r requirements/azureml.txt || without "pip could not install it"
touch "$home/.done" .venv/.azureml
