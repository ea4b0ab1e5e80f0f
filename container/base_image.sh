#!/bin/sh
# Print the base image of container/Dockerfile, as name:tag@sha256:…; status 2 where it has no digest.
#   docker build --file container/Dockerfile --build-arg PYTHON_IMAGE="$(container/base_image.sh)" --tag quantx .
set -eu
file="$(dirname "$0")/base.Dockerfile"
image="$(sed -n 's/^FROM //p' "$file")"
if ! printf '%s\n' "$image" | grep -Eqx '[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}'; then
    echo "base_image: $file must name one image with tag and digest, not: $image" >&2
    exit 2
fi
printf '%s\n' "$image"
